// JSON <-> Python; the only room that knows both. The caller holds the GIL.
#pragma once

#include <string>
#include <string_view>

#include "pyhost/json.hpp"
#include "python.hpp"

namespace pyhost::detail {

/// More levels of containers than this are refused, both ways and for text and Json alike.
inline constexpr int max_depth = 1000;

/// A fresh dict from a JSON object, in which null counts as `{}`. Throws InvalidState with the pointer
/// of what has no exact form in Python.
py::object to_python(const Json& state);

/// A fresh dict from JSON text (RFC 8259 in UTF-8), read exactly. Throws InvalidState with line and column.
py::object to_python(std::string_view state);

/// A Json of its own from a Python value. Throws InvalidResult with the pointer of what has no exact
/// form in JSON, or not in Json: an integer beyond 64 bits.
Json to_json(PyObject* result);

/// The same as JSON text in UTF-8 on one line, in which an integer may have any size.
std::string to_text(PyObject* result);

}  // namespace pyhost::detail
