// Includes Python.h and only the owning reference of pybind11, because all of pybind11.h would slow down
// compiling every file.
#pragma once

#include <pybind11/pytypes.h>

#include <string_view>

namespace pyhost::detail {

namespace py = pybind11;

/// Steals a new reference, as the C API returns it. Null stays null, with Python's error set.
inline py::object steal(PyObject* object) { return py::reinterpret_steal<py::object>(object); }

/// Returns an owning reference from a borrowed one.
inline py::object borrow(PyObject* object) { return py::reinterpret_borrow<py::object>(object); }

/// Returns the value of a key that is a str; borrowed. Returns null if there is none, and clears Python's
/// error.
inline PyObject* dict_item(PyObject* dict, PyObject* key) {
  PyObject* const value = PyDict_GetItemWithError(dict, key);
  if (value == nullptr) PyErr_Clear();
  return value;
}

/// Returns the text of a str, valid while the str exists. Empty for null and for an object that is not a str.
/// Clears Python's error.
inline std::string_view view(PyObject* object) {
  const char* utf8 = object != nullptr && PyUnicode_Check(object) ? PyUnicode_AsUTF8(object) : nullptr;
  if (utf8 == nullptr) PyErr_Clear();
  return utf8 != nullptr ? utf8 : "";
}

}  // namespace pyhost::detail
