// The strict parser of JSON text: the one that says what is wrong, and where.
#pragma once

#include <string_view>

#include "python/python.hpp"

namespace pyhost::detail {

/// The value of a JSON text, whatever its type. Throws InvalidState with line and column, or with a pointer.
py::object parse_strictly(std::string_view text);

}  // namespace pyhost::detail
