// When a thread that `threading` has not started first uses it, `threading` makes a dummy object for the
// thread. Dummies are daemons, and a new thread inherits that from the thread that starts it. So nothing
// would wait for the threads that modules start from a C++ thread.
#include "python/cpp_threads.hpp"

#include "python/native_module.hpp"

namespace pyhost::detail {

namespace {

#if PY_VERSION_HEX < 0x030D0000
constexpr const char* correct_main_thread_source = R"(
import threading, _thread, posix
main = threading._main_thread
del threading._active[main._ident]
threading._shutdown_locks.discard(main._tstate_lock)
main._ident, main._native_id = ident, posix.getpid()
main._tstate_lock = _thread.allocate_lock()
main._tstate_lock.acquire()
threading._active[ident] = main
)";
#endif

// The dummy is removed before a fork, so that `threading` makes a real main thread in the child.
constexpr const char* cpp_threads_source = R"(
import os, sys, threading

def register():
    thread = threading.current_thread()
    if not isinstance(thread, threading._DummyThread):
        return
    thread._daemonic = False
    if threading._trace_hook:
        sys.settrace(threading._trace_hook)
    if threading._profile_hook:
        sys.setprofile(threading._profile_hook)

def forget():
    if isinstance(threading._active.get(threading.get_ident()), threading._DummyThread):
        return threading._active.pop(threading.get_ident())

forking = threading.local()

def before_fork():
    forking.thread = forget()

def after_fork():
    if forking.thread is not None:
        threading._active[forking.thread.ident] = forking.thread

os.register_at_fork(before=before_fork, after_in_parent=after_fork)
)";

py::object run_source(const char* source, const py::object& names) {
  return names ? steal(PyRun_String(source, Py_file_input, names.ptr(), names.ptr())) : py::object();
}

// Returns the function `register`. Returns null with Python's error set if `threading` cannot be imported.
py::object register_function() {
  if (py::object known = native_attribute("register_thread")) return known;
  const py::object names =
      steal(Py_BuildValue("{sOss}", "__builtins__", PyEval_GetBuiltins(), "__name__", "_pyhost.cpp_threads"));
  if (!run_source(cpp_threads_source, names)) return {};
  set_native_attribute("forget_thread", borrow(PyDict_GetItemString(names.ptr(), "forget")));
  py::object function = borrow(PyDict_GetItemString(names.ptr(), "register"));
  set_native_attribute("register_thread", function);
  return function;
}

}  // namespace

// Up to Python 3.12 `threading` regards the thread that first imports it as the main thread, and then the
// shutdown would not wait for threads that modules start from other threads. Importing it at each start would
// make the start a quarter longer. So it is imported when the first other thread enters, and its main thread
// is corrected.
void correct_main_thread(unsigned long main_thread) noexcept {
#if PY_VERSION_HEX < 0x030D0000
  if (main_thread == 0 || main_thread == PyThread_get_thread_ident()) return;
  if (PyDict_GetItemString(PyImport_GetModuleDict(), "threading") != nullptr) return;
  const py::object names =
      steal(Py_BuildValue("{sOsk}", "__builtins__", PyEval_GetBuiltins(), "ident", main_thread));
  if (!run_source(correct_main_thread_source, names)) PyErr_Clear();
#else
  static_cast<void>(main_thread);
#endif
}

void register_cpp_thread() noexcept {
  const py::error_scope preserved;
  const py::object function = register_function();
  if (!function || !steal(PyObject_CallNoArgs(function.ptr()))) PyErr_Clear();
}

void forget_cpp_thread() noexcept {
  const py::error_scope preserved;
  const py::object function = native_attribute("forget_thread");
  if (!function || !steal(PyObject_CallNoArgs(function.ptr()))) PyErr_Clear();
}

}  // namespace pyhost::detail
