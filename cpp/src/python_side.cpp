// A module made by hand, because one that CPython knows as builtin has to be told of before it starts.
#include "python_side.hpp"

#include "enter.hpp"

namespace pyhost::detail {

void put_on_python_side(const char* name, const py::object& value) {
  const py::object side = share(PyImport_AddModule("_pyhost"));
  if (!side || PyObject_SetAttrString(side.ptr(), name, value.ptr()) != 0) must(nullptr, "making _pyhost");
}

void add_to_python_side(PyMethodDef& function) {
  put_on_python_side(function.ml_name, must(PyCFunction_New(&function, nullptr), "making a function"));
}

}  // namespace pyhost::detail
