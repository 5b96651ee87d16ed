// What to do about an exception that many have met before.
#pragma once

#include <string>

#include "pyhost/error.hpp"

namespace pyhost::detail {

/// A hint for the exception or, if there is none, for what led to it; mostly empty. The caller holds the GIL.
std::string hint_for(const PythonException& raised);

}  // namespace pyhost::detail
