// A replacement for `_signal.signal`, which signal.signal() calls, remembers the previous handlers. Querying
// all handlers before each run would take longer than a small run.
#include "run/borrowed_signals.hpp"

#include <sys/time.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <optional>
#include <utility>
#include <vector>

#include "interpreter/interrupts.hpp"
#include "python/exception.hpp"
#include "python/native_module.hpp"

namespace pyhost::detail {

namespace {

struct BorrowedSignal {
  int signal;
  struct sigaction before;
  struct sigaction after;
  py::object handler_before;  // as Python sees it: None for a C function
  itimerval timer_before;
};

// Never destroyed, since its objects need the GIL. Guarded by the GIL.
std::vector<BorrowedSignal>& borrowed_signals() {
  static auto* const kept = new std::vector<BorrowedSignal>;
  return *kept;
}

// Whether Python's own entry for a signal is a run's handler that is no longer installed. signal.signal()
// would return it as the previous handler. Guarded by the GIL.
std::array<bool, 65> has_stale_handler{};

std::atomic<int> streams_that_keep_signals = 0;

// Returns the timer that sends the signal.
std::optional<__itimer_which_t> timer_of(int signal) {
  if (signal == SIGALRM) return ITIMER_REAL;
  if (signal == SIGVTALRM) return ITIMER_VIRTUAL;
  if (signal == SIGPROF) return ITIMER_PROF;
  return std::nullopt;
}

struct sigaction action_of(int signal) {
  struct sigaction action{};
  sigaction(signal, nullptr, &action);
  return action;
}

py::object original_setter() { return native_attribute("set_signal_handler"); }

std::vector<BorrowedSignal>::iterator find_borrowed(int signal) {
  return std::ranges::find(borrowed_signals(), signal, &BorrowedSignal::signal);
}

// Whether Python's own entry was the application's action.
bool knows_handler(const BorrowedSignal& borrowed) {
  PyObject* const handler = borrowed.handler_before.ptr();
  if (PyLong_Check(handler)) {
    const bool ignores = PyLong_AsLong(handler) == 1;
    return borrowed.before.sa_handler == (ignores ? SIG_IGN : SIG_DFL);
  }
  return handler != Py_None;
}

void restore(const BorrowedSignal& borrowed) noexcept {
  const struct sigaction now = action_of(borrowed.signal);
  if (now.sa_handler != borrowed.after.sa_handler)
    return;  // the application has set another handler meanwhile
  // If Python's own entry was wrong before, it is left alone: to set it would install SIG_DFL for a moment,
  // and a signal would end the process.
  if (knows_handler(borrowed)) {
    const py::object set = original_setter();
    if (!set ||
        !steal(PyObject_CallFunction(set.ptr(), "iO", borrowed.signal, borrowed.handler_before.ptr())))
      PyErr_Clear();
  } else {
    has_stale_handler[static_cast<std::size_t>(borrowed.signal)] = true;
  }
  if (const auto timer = timer_of(borrowed.signal)) {
    const itimerval none{};  // the default action of its signal ends the process
    setitimer(*timer, borrowed.before.sa_handler == SIG_DFL ? &none : &borrowed.timer_before, nullptr);
  }
  sigaction(borrowed.signal, &borrowed.before, nullptr);
}

// Handles signal.signal(number, None). A module calls that to restore a handler for which signal.signal()
// returned None, because it is a C function.
PyObject* restore_early(int signal) {
  const auto found = find_borrowed(signal);
  if (found == borrowed_signals().end()) return nullptr;
  const BorrowedSignal borrowed = std::move(*found);
  borrowed_signals().erase(found);
  restore(borrowed);
  const py::object module = steal(PyImport_ImportModule("_signal"));
  return module ? PyObject_CallMethod(module.ptr(), "getsignal", "i", signal) : nullptr;
}

// The replacement for `_signal.signal`.
PyObject* set_signal(PyObject* /*self*/, PyObject* arguments) {
  const py::object original = original_setter();
  const bool two = PyTuple_GET_SIZE(arguments) == 2 && PyLong_Check(PyTuple_GET_ITEM(arguments, 0));
  if (!original) return PyErr_SetString(PyExc_RuntimeError, "signals cannot be set any more"), nullptr;
  const bool in_run = CurrentRun::here() != nullptr;
  if (!two || !in_run) {
    PyObject* const done = PyObject_CallObject(original.ptr(), arguments);
    if (done != nullptr) note_interrupts();
    return done;
  }
  const int signal = static_cast<int>(PyLong_AsLong(PyTuple_GET_ITEM(arguments, 0)));
  PyErr_Clear();
  if (PyTuple_GET_ITEM(arguments, 1) == Py_None) {
    if (PyObject* restored = restore_early(signal)) return restored;
    PyErr_Clear();
  }
  const struct sigaction before = action_of(signal);
  itimerval timer{};
  if (const auto which = timer_of(signal)) getitimer(*which, &timer);
  py::object handler_before = steal(PyObject_CallObject(original.ptr(), arguments));
  if (!handler_before) return nullptr;
  if (std::exchange(has_stale_handler[static_cast<std::size_t>(signal)], false))
    handler_before = borrow(Py_None);
  if (signal == SIGINT) note_interrupts();
  if (const auto found = find_borrowed(signal); found != borrowed_signals().end()) {
    found->after = action_of(signal);
  } else {
    borrowed_signals().push_back({signal, before, action_of(signal), handler_before, timer});
    signals_borrowed_by = PyThread_get_thread_ident();
  }
  return handler_before.release().ptr();
}

}  // namespace

void watch_signal_handlers() {
  if (PyInterpreterState_Get() != PyInterpreterState_Main() || original_setter()) return;
  static PyMethodDef function{
      "signal", set_signal, METH_VARARGS,
      "signal($module, signalnum, handler, /)\n--\n\n"
      "Sets the action for the signal until the run ends, and returns the previous one.\n\n"
      "The action is signal.SIG_DFL, signal.SIG_IGN or a function that is called with "
      "the signal's\nnumber and the frame. None restores the application's action."};
  const py::object signal = require(PyImport_ImportModule("_signal"), "importing _signal");
  set_native_attribute("set_signal_handler",
                       require(PyObject_GetAttrString(signal.ptr(), "signal"), "finding _signal.signal"));
  const py::object watched = require(PyCFunction_New(&function, nullptr), "watching signal handlers");
  if (PyObject_SetAttrString(signal.ptr(), "signal", watched.ptr()) != 0)
    require(nullptr, "watching signal handlers");
}

py::object set_own_handler(int signal, PyObject* handler) {
  py::object set = original_setter();
  if (!set) {
    const py::object module = steal(PyImport_ImportModule("_signal"));
    if (module) set = steal(PyObject_GetAttrString(module.ptr(), "signal"));
  }
  return set ? steal(PyObject_CallFunction(set.ptr(), "iO", signal, handler)) : py::object();
}

void give_signals_back() noexcept {
  std::vector<BorrowedSignal>& all = borrowed_signals();
  if (signals_borrowed_by != PyThread_get_thread_ident() || streams_that_keep_signals > 0) return;
  const py::error_scope kept;
  while (!all.empty()) {
    const BorrowedSignal last = std::move(all.back());
    all.pop_back();
    restore(last);
  }
  signals_borrowed_by = 0;
}

void StreamSignals::after_step(bool goes_on) noexcept {
  if (goes_on == kept_ || (goes_on && signals_borrowed_by != PyThread_get_thread_ident())) return;
  kept_ = goes_on;
  streams_that_keep_signals += goes_on ? 1 : -1;
}

}  // namespace pyhost::detail
