// Acquires the GIL, unless the process is ending.
#include "python/gil.hpp"

#include "python/cpp_threads.hpp"

namespace pyhost::detail {

namespace {

bool python_runs() {
#if PY_VERSION_HEX >= 0x030D0000
  const bool ends = Py_IsFinalizing() != 0;
#else
  const bool ends = _Py_IsFinalizing() != 0;
#endif
  return Py_IsInitialized() != 0 && !ends;
}

unsigned long main_thread = 0;  // the thread that started Python; 0 if the application did

// Keeps the thread state of a C++ thread until the thread ends. Otherwise each call would create and destroy
// one. It is the one of PyGILState_Ensure, entered once more than left, so pybind11 and other users of that
// function find the same one. Threads that have a state anyway (the one that started Python, and those of
// Python) do not use this.
class LastingThreadState {
 public:
  LastingThreadState() = default;
  LastingThreadState(const LastingThreadState&) = delete;
  LastingThreadState& operator=(const LastingThreadState&) = delete;

  PyThreadState* make() {
    PyGILState_Ensure();
    correct_main_thread(main_thread);
    made_ = PyEval_SaveThread();
    return made_;
  }

  ~LastingThreadState() {
    if (made_ == nullptr || python_access != PythonAccess::Open || !python_runs() ||
        PyGILState_GetThisThreadState() != made_)
      return;
    PyGILState_Ensure();
    forget_cpp_thread();
    PyGILState_Release(PyGILState_LOCKED);    // matches the call in this destructor
    PyGILState_Release(PyGILState_UNLOCKED);  // matches the call in make(), and deletes the thread state
  }

 private:
  PyThreadState* made_ = nullptr;
};

thread_local LastingThreadState this_thread_state;

}  // namespace

void throw_no_access() {
  if (python_access == PythonAccess::Forked) {
    throw Error({.kind = ErrorKind::HostClosed,
                 .phase = Phase::Close,
                 .message = "this process was forked from one that runs Python, and cannot use Python itself",
                 .hint = "call exec in the child, or open the host after the fork",
                 .closed = Closed::Forked});
  }
  if (python_access == PythonAccess::EndedByApplication) {
    throw Error({.kind = ErrorKind::HostClosed,
                 .phase = Phase::Close,
                 .message = "the application ended Python by calling Py_Finalize()",
                 .hint = "call it after the last use of pyhost, which cannot use a restarted Python",
                 .closed = Closed::Python});
  }
  throw Error({.kind = ErrorKind::HostClosed,
               .phase = Phase::Close,
               .message = "the process is ending: Python accepts no more calls",
               .closed = Closed::Process});
}

InterpreterGilAcquire::InterpreterGilAcquire(PyInterpreterState* interpreter) {
  if (interpreter == PyInterpreterState_Main()) {
    main_.emplace();
    return;
  }
  if (python_access != PythonAccess::Open) throw_no_access();
  before_ = PyGILState_GetThisThreadState();
  made_ = PyThreadState_New(interpreter);
  PyEval_RestoreThread(made_);
}

InterpreterGilAcquire::~InterpreterGilAcquire() {
  if (made_ == nullptr) return;
  PyThreadState_Clear(made_);
  PyThreadState_DeleteCurrent();
  if (before_ != nullptr) restore_thread_state(before_);
}

void restore_thread_state(PyThreadState* before) {
  PyEval_RestoreThread(before);
  PyEval_SaveThread();
}

PyThreadState* make_thread_state() { return this_thread_state.make(); }

void set_main_thread() noexcept { main_thread = PyThread_get_thread_ident(); }

bool has_started_python() noexcept { return main_thread != 0; }

bool is_main_thread() noexcept { return main_thread == PyThread_get_thread_ident(); }

void set_python_access(PythonAccess to) noexcept { python_access = to; }

void drop_async_exception(PyThreadState* here) noexcept {
  if (here->async_exc == nullptr) return;
  const py::error_scope preserved;
  const py::object names = steal(Py_BuildValue("{sO}", "__builtins__", PyEval_GetBuiltins()));
  bool interrupted = false;
  constexpr int most = 3;  // signal handlers run first, and may raise
  for (int i = 0; i < most && here->async_exc != nullptr; ++i) {
    if (names) steal(PyRun_String("0", Py_eval_input, names.ptr(), names.ptr()));
    interrupted |= here->async_exc != nullptr && PyErr_ExceptionMatches(PyExc_KeyboardInterrupt) != 0;
    PyErr_Clear();
  }
  if (here->async_exc != nullptr) PyThreadState_SetAsyncExc(PyThread_get_thread_ident(), nullptr);
  if (interrupted) PyErr_SetInterrupt();  // a Ctrl-C must not be lost with it
}

}  // namespace pyhost::detail
