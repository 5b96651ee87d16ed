// The value type of states and results, complete.
#pragma once

#include <nlohmann/json.hpp>

#include "pyhost/json_fwd.hpp"  // IWYU pragma: export
