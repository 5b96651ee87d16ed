// Creates text streams for sys.stdout and sys.stderr.
#include "interpreter/text_stream.hpp"

#include "python/gil.hpp"

namespace pyhost::detail {

py::object derive_io_type(const char* base, const char* name, PyMethodDef* methods) {
  PyType_Slot slots[] = {{Py_tp_methods, methods}, {0, nullptr}};
  PyType_Spec spec{name, 0, 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
  // Uses the C types of _io: those of the module io have a metaclass, and Python 3.14 cannot derive from them
  // with this function.
  const py::object io = require(PyImport_ImportModule("_io"), making_stream);
  const py::object bases =
      require(Py_BuildValue("(N)", PyObject_GetAttrString(io.ptr(), base)), "finding io's types");
  return require(PyType_FromSpecWithBases(&spec, bases.ptr()), making_stream);
}

// Follows create_stdio in CPython's Python/pylifecycle.c.
py::object make_text_stream(PyObject* binary, const char* errors) {
  const py::object io = require(PyImport_ImportModule("io"), making_stream);
  py::object text = require(PyObject_CallMethod(io.ptr(), "TextIOWrapper", "OsssOO", binary, "utf-8", errors,
                                                "\n", Py_False, Py_True),
                            making_stream);
  const py::object mode = require(PyUnicode_FromString("w"), making_stream);
  if (PyObject_SetAttrString(text.ptr(), "mode", mode.ptr()) != 0) require(nullptr, making_stream);
  return text;
}

}  // namespace pyhost::detail
