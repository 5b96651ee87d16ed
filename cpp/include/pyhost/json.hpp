// The type of JSON values, complete.
#pragma once

#include <nlohmann/json.hpp>

#include "pyhost/json_fwd.hpp"  // IWYU pragma: export
