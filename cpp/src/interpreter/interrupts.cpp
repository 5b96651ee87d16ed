// A C handler records the signal and calls Python's handler, which only marks the signal for the main thread.
#include "interpreter/interrupts.hpp"

#include <atomic>
#include <csignal>

#include "python/exception.hpp"

namespace pyhost::detail {

namespace {

std::atomic<bool> interrupted = false;
std::atomic<bool> notes_interrupts = false;
std::atomic<void (*)(int)> pythons_sigint = nullptr;

void note_interrupt(int signal) {
  interrupted = true;
  if (void (*const handler)(int) = pythons_sigint) handler(signal);
}

// Like signal.default_int_handler, but also records the interrupt, even if Python code calls it.
PyObject* interrupt(PyObject* /*self*/, PyObject* /*signal and frame*/) {
  interrupted = true;
  PyErr_SetNone(PyExc_KeyboardInterrupt);
  return nullptr;
}

}  // namespace

// Importing `signal`, as asyncio does, makes CPython install its handler of SIGINT, even if the configuration
// says not to (github.com/python/cpython/issues/111400). So it is imported now, and SIGINT is restored.
void settle_signals(bool interruptible) {
  const py::object signal = require(PyImport_ImportModule("_signal"), "importing _signal");
  const py::object current =
      require(PyObject_CallMethod(signal.ptr(), "getsignal", "i", SIGINT), "reading SIGINT");
  const py::object taken =
      require(PyObject_GetAttrString(signal.ptr(), "default_int_handler"), "finding default_int_handler");
  const bool is_free = PyLong_Check(current.ptr()) && PyLong_AsLong(current.ptr()) == 0;  // SIG_DFL
  if (current.is(taken) || is_free) {
    py::object handler = require(PyLong_FromLong(0), "restoring SIGINT");
    if (interruptible) {
      // Replaces CPython's handler under the same name, because asyncio only replaces
      // signal.default_int_handler.
      static PyMethodDef method{"default_int_handler", interrupt, METH_VARARGS, nullptr};
      handler = require(PyCFunction_New(&method, nullptr), "making a handler of SIGINT");
      if (PyObject_SetAttrString(signal.ptr(), "default_int_handler", handler.ptr()) != 0) {
        require(nullptr, "setting default_int_handler");
      }
    }
    require(PyObject_CallMethod(signal.ptr(), "signal", "iO", SIGINT, handler.ptr()),
            "setting the handler of SIGINT");
    notes_interrupts = interruptible;
    note_interrupts();
  }
  // As in python3, a broken pipe and an exceeded quota become errors and do not end the process.
  for (const char* name : {"SIGPIPE", "SIGXFSZ"}) {
    const int number = name[3] == 'P' ? SIGPIPE : SIGXFSZ;
    struct sigaction action{};
    if (sigaction(number, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
    require(PyObject_CallMethod(signal.ptr(), "signal", "ii", number, 1 /* SIG_IGN */), "ignoring a signal");
  }
}

void note_interrupts() noexcept {
  struct sigaction action{};
  if (!notes_interrupts || sigaction(SIGINT, nullptr, &action) != 0) return;
  if ((action.sa_flags & SA_SIGINFO) != 0 || action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN ||
      action.sa_handler == note_interrupt)
    return;
  pythons_sigint = action.sa_handler;
  action.sa_handler = note_interrupt;
  sigaction(SIGINT, &action, nullptr);
}

bool was_interrupted() noexcept { return interrupted; }

}  // namespace pyhost::detail
