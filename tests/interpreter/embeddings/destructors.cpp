// An extension module as many are: C++ with a static object and a thread_local one.
#include <Python.h>

namespace {

// Trivial, so that they can be read after the objects are gone.
bool static_is_gone = false;
thread_local bool thread_local_is_gone = false;

struct Registry {
  ~Registry() { static_is_gone = true; }
} registry;

struct Cache {
  ~Cache() { thread_local_is_gone = true; }
};

// use() -> what this thread still has of the two
PyObject* use(PyObject*, PyObject*) {
  static thread_local Cache cache;
  static_cast<void>(cache);
  return PyUnicode_FromFormat("static %s, thread_local %s", static_is_gone ? "destroyed" : "alive",
                              thread_local_is_gone ? "destroyed" : "alive");
}

PyMethodDef methods[] = {{"use", use, METH_NOARGS, nullptr}, {}};
PyModuleDef definition{
    PyModuleDef_HEAD_INIT, "destructors", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_destructors() { return PyModule_Create(&definition); }
