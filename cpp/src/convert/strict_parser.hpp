// The strict parser of JSON text, which reports what is wrong and where.
#pragma once

#include <string_view>

#include "python/python.hpp"

namespace pyhost::detail {

/// Returns the value of a JSON text, of any type.
/// Throws: InvalidState, with line and column or with a JSON pointer.
py::object parse_strictly(std::string_view text);

}  // namespace pyhost::detail
