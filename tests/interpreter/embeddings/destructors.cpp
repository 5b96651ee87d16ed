// A typical extension module in C++ with a static object and a thread_local one.
#include <Python.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string_view>

namespace {

std::atomic<int> computing = 0;

// These have no destructors, so that they can be read after the objects are destroyed.
bool static_is_gone = false;
thread_local bool thread_local_is_gone = false;

struct Registry {
  ~Registry() {
    static_is_gone = true;
    constexpr std::string_view complaint = "destroyed while it is used\n";
    if (computing > 0 && write(STDERR_FILENO, complaint.data(), complaint.size()) < 0) computing = 0;
  }
} registry;

struct Cache {
  ~Cache() { thread_local_is_gone = true; }
};

// use() -> whether the two objects are still alive on this thread
PyObject* use(PyObject*, PyObject*) {
  static thread_local Cache cache;
  static_cast<void>(cache);
  return PyUnicode_FromFormat("static %s, thread_local %s", static_is_gone ? "destroyed" : "alive",
                              thread_local_is_gone ? "destroyed" : "alive");
}

// compute() uses the static object for some milliseconds without the GIL.
PyObject* compute(PyObject*, PyObject*) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
  Py_BEGIN_ALLOW_THREADS;
  ++computing;
  while (std::chrono::steady_clock::now() < end) continue;
  --computing;
  Py_END_ALLOW_THREADS;
  Py_RETURN_NONE;
}

PyMethodDef methods[] = {{"use", use, METH_NOARGS, nullptr}, {"compute", compute, METH_NOARGS, nullptr}, {}};
PyModuleDef definition{
    PyModuleDef_HEAD_INIT, "destructors", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_destructors() { return PyModule_Create(&definition); }
