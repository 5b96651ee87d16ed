// The baseline: the same calls in the bare C API, written for speed alone.
#pragma once

#include <stdexcept>

#include "python/python.hpp"

namespace pyhost::bench {

namespace py = pyhost::detail::py;
using pyhost::detail::borrow;
using pyhost::detail::steal;

/// Holds the GIL by PyGILState_Ensure, as most programs do.
class Gil {
 public:
  Gil() : state_(PyGILState_Ensure()) {}
  ~Gil() { PyGILState_Release(state_); }
  Gil(const Gil&) = delete;
  Gil& operator=(const Gil&) = delete;

 private:
  PyGILState_STATE state_;
};

inline PyObject* checked(PyObject* object) {
  if (object == nullptr) {
    PyErr_Print();
    throw std::runtime_error("Python raised in a benchmark");
  }
  return object;
}

/// The create function of a module and the name "run", looked up in advance.
struct Calls {
  PyObject* create;
  PyObject* run;
};

inline PyObject* create(const Calls& calls) {
  PyObject* state = PyDict_New();
  PyObject* arguments[] = {nullptr, state};
  PyObject* object =
      PyObject_Vectorcall(calls.create, arguments + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
  Py_DECREF(state);
  return checked(object);
}

inline void run(const Calls& calls, PyObject* object) {
  PyObject* arguments[] = {object};
  Py_DECREF(
      checked(PyObject_VectorcallMethod(calls.run, arguments, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr)));
}

/// Acquires the GIL once for both calls.
inline void create_and_run_at_once(const Calls& calls) {
  const Gil gil;
  PyObject* object = create(calls);
  run(calls, object);
  Py_DECREF(object);
}

/// Acquires the GIL for each call, as a caller must that does something else in between.
inline void create_then_run(const Calls& calls) {
  PyObject* object = nullptr;
  {
    const Gil gil;
    object = create(calls);
  }
  const Gil gil;
  run(calls, object);
  Py_DECREF(object);
}

/// Acquires the GIL for each call, and a third time to destroy the object later.
inline void create_then_run_then_drop(const Calls& calls) {
  PyObject* object = nullptr;
  {
    const Gil gil;
    object = create(calls);
  }
  {
    const Gil gil;
    run(calls, object);
  }
  const Gil gil;
  Py_DECREF(object);
}

inline PyObject* call(PyObject* function, PyObject* argument) {
  return checked(PyObject_CallOneArg(function, argument));
}

}  // namespace pyhost::bench
