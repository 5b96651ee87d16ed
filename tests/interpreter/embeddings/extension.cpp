// An extension module that uses pyhost: the host joins the Python that already runs.
#include <Python.h>

#include <memory>
#include <pyhost/pyhost.hpp>

namespace {

std::unique_ptr<pyhost::Host> host;

template <class Action>
PyObject* told(Action action) {
  try {
    return PyUnicode_FromString(action().c_str());
  } catch (const pyhost::Error& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
    return nullptr;
  }
}

// open(module_path, venv) -> the home
PyObject* open(PyObject*, PyObject* arguments) {
  const char *path = nullptr, *venv = nullptr;
  if (PyArg_ParseTuple(arguments, "ss", &path, &venv) == 0) return nullptr;
  return told([&] {
    host = std::make_unique<pyhost::Host>(pyhost::Options{.module_paths = {path}, .venv = venv});
    return host->environment().home.string();
  });
}

// run(name, state) -> the result as JSON text
PyObject* run(PyObject*, PyObject* arguments) {
  const char *name = nullptr, *state = nullptr;
  if (PyArg_ParseTuple(arguments, "ss", &name, &state) == 0) return nullptr;
  return told([&] { return host->run<std::string>(name, state); });
}

PyObject* close(PyObject*, PyObject*) {
  host.reset();
  Py_RETURN_NONE;
}

PyMethodDef methods[] = {{"open", open, METH_VARARGS, nullptr},
                         {"run", run, METH_VARARGS, nullptr},
                         {"close", close, METH_NOARGS, nullptr},
                         {}};
PyModuleDef definition{
    PyModuleDef_HEAD_INIT, "joins", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_joins() { return PyModule_Create(&definition); }
