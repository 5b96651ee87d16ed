// A module made by hand, because one that CPython knows as builtin has to be told of before it starts.
#include "python_side.hpp"

#include "enter.hpp"

namespace pyhost::detail {

void add_to_python_side(PyMethodDef& function) {
  const py::object side = share(PyImport_AddModule("_pyhost"));
  if (!side) must(nullptr, "making _pyhost");
  const py::object callable = must(PyCFunction_New(&function, nullptr), "making a function");
  if (PyObject_SetAttrString(side.ptr(), function.ml_name, callable.ptr()) != 0)
    must(nullptr, "adding a function");
}

}  // namespace pyhost::detail
