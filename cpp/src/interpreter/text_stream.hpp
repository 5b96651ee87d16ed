// Creates text streams for sys.stdout and sys.stderr, in the same way as CPython.
#pragma once

#include <string_view>

#include "python/python.hpp"

namespace pyhost::detail {

/// The action that require() names if a stream cannot be created.
inline constexpr std::string_view making_stream = "making a stream";

/// Returns a new type with these methods, derived from a type of Python's module `_io`. The caller holds the
/// GIL.
/// Throws: StartupFailed.
py::object derive_io_type(const char* base, const char* name, PyMethodDef* methods);

/// Returns a text stream that writes through to a binary one, which keeps lines together. The caller holds
/// the GIL.
/// Throws: StartupFailed.
py::object make_text_stream(PyObject* binary, const char* errors);

}  // namespace pyhost::detail
