// Hints for common exceptions.
#pragma once

#include <string>

#include "pyhost/error.hpp"

namespace pyhost::detail {

/// Returns a hint for the exception, or for an exception that led to it. Often empty. The caller holds the
/// GIL.
std::string hint_for(const PythonException& raised);

}  // namespace pyhost::detail
