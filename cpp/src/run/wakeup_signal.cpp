// Only a signal interrupts a wait in C code, and Python handles signals only in its main thread.
#include "run/wakeup_signal.hpp"

#include <pthread.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include "python/native_module.hpp"
#include "run/borrowed_signals.hpp"
#include "run/python_cancelled.hpp"

namespace pyhost::detail {

namespace {

using Thread = CurrentRun::Thread;

constexpr int wakeup_signal = SIGURG;  // ignored by default, and hardly ever used

// The handler that Python installed for the signal. Any other handler belongs to the application.
std::atomic<void (*)(int)> python_handler = nullptr;

// Called by Python in its main thread after the signal. Raises pyhost.Stopped there at once.
PyObject* wake(PyObject* /*self*/, PyObject* /*signal and frame*/) {
  Thread& thread = CurrentRun::this_thread();
  const bool woken = thread.woken.exchange(false);
  if (!woken || thread.inside == 0) return borrow(Py_None).release().ptr();
  PyErr_SetNone(stopped_type().ptr());
  return nullptr;
}

// Whether the thread blocks the signal. Only the kernel knows the mask of another thread. Without /proc, the
// signal counts as not blocked.
bool blocks_wakeup_signal(const Thread& thread) {
  std::ifstream status("/proc/self/task/" + std::to_string(thread.kernel_id) + "/status");
  constexpr std::string_view name = "SigBlk:";
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(name)) continue;
    const std::uint64_t blocked = std::strtoull(line.c_str() + name.size(), nullptr, 16);
    return (blocked >> (wakeup_signal - 1) & 1) != 0;
  }
  return false;
}

}  // namespace

void add_wakeup_function() {
  static PyMethodDef function{"wake", wake, METH_VARARGS, nullptr};
  add_native_function(function);
}

void enable_wakeup_signal(Thread& thread) {
  if (thread.wakes != Thread::Wakes::NotAsked) return;
  thread.wakes = Thread::Wakes::No;
  struct sigaction now{};
  if (sigaction(wakeup_signal, nullptr, &now) != 0 || now.sa_handler != SIG_DFL) return;
  const py::object handler = native_attribute("wake");
  const py::object installed = handler ? set_own_handler(wakeup_signal, handler.ptr()) : py::object();
  PyErr_Clear();  // Python refuses this on any thread but the main one
  if (!installed || sigaction(wakeup_signal, nullptr, &now) != 0) return;
  python_handler = now.sa_handler;
  thread.wakes = Thread::Wakes::Yes;
}

bool has_wakeup_signal(const Thread& thread) {
  struct sigaction now{};
  return thread.wakes == Thread::Wakes::Yes && sigaction(wakeup_signal, nullptr, &now) == 0 &&
         now.sa_handler == python_handler;
}

// An earlier host may have set the handler, so the functions are compared, not the objects.
bool raises_stopped(const Thread& thread) {
  if (!has_wakeup_signal(thread) || blocks_wakeup_signal(thread)) return false;
  const py::object signal = steal(PyImport_ImportModule("_signal"));
  const py::object handler =
      signal ? steal(PyObject_CallMethod(signal.ptr(), "getsignal", "i", wakeup_signal)) : py::object();
  PyErr_Clear();
  return handler && PyCFunction_Check(handler.ptr()) && PyCFunction_GetFunction(handler.ptr()) == wake;
}

void send_wakeup_signal(Thread& thread) noexcept {
  thread.woken = true;
  pthread_kill(thread.handle, wakeup_signal);
}

}  // namespace pyhost::detail
