// Python.h, and of pybind11 the owning reference alone: all of pybind11.h would be compiled into every file.
#pragma once

#include <pybind11/pytypes.h>

#include <string_view>

namespace pyhost::detail {

namespace py = pybind11;

/// Takes over a new reference as the C API returns it; null stays null, with Python's error set.
inline py::object steal(PyObject* object) { return py::reinterpret_steal<py::object>(object); }

/// Shares a borrowed reference.
inline py::object borrow(PyObject* object) { return py::reinterpret_borrow<py::object>(object); }

/// The text of a str, valid while it lives; empty for what is no str or null. Clears Python's error if it
/// fails.
inline std::string_view view(PyObject* object) {
  const char* utf8 = object != nullptr && PyUnicode_Check(object) ? PyUnicode_AsUTF8(object) : nullptr;
  if (utf8 == nullptr) PyErr_Clear();
  return utf8 != nullptr ? utf8 : "";
}

}  // namespace pyhost::detail
