// Python.h and pybind11 as the rooms of the library see them: pybind11's owning reference, nothing global.
#pragma once

#include <pybind11/pybind11.h>

namespace pyhost::detail {

namespace py = pybind11;

/// Takes over a new reference as the C API returns it; null stays null, with Python's error set.
inline py::object own(PyObject* object) { return py::reinterpret_steal<py::object>(object); }

/// Shares a borrowed reference.
inline py::object share(PyObject* object) { return py::reinterpret_borrow<py::object>(object); }

}  // namespace pyhost::detail
