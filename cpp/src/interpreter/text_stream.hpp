// Text streams for sys.stdout and sys.stderr, made as CPython makes its own.
#pragma once

#include <string_view>

#include "python/python.hpp"

namespace pyhost::detail {

/// What was being done when a stream could not be made; for require().
inline constexpr std::string_view making_stream = "making a stream";

/// A new type with these methods, derived from a type of Python's module `_io`. Throws StartupFailed. The
/// caller holds the GIL.
py::object derive_io_type(const char* base, const char* name, PyMethodDef* methods);

/// A text stream over a binary one, which keeps lines together. It holds nothing back itself. Throws
/// StartupFailed. The caller holds the GIL.
py::object make_text_stream(PyObject* binary, const char* errors);

}  // namespace pyhost::detail
