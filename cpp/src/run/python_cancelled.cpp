// pyhost.cancelled is set if any run that the thread is in was cancelled, including enclosing runs.
#include "run/python_cancelled.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "python/gil.hpp"
#include "python/native_module.hpp"
#include "run/cancellation.hpp"
#include "run/current_run.hpp"

namespace pyhost::detail {

namespace {

using Clock = Cancellation::Clock;
using Cancellations = std::vector<std::shared_ptr<Cancellation>>;

// Notified at each request. Never destroyed: threads may outlive the end of main().
struct CancelledSignal {
  std::mutex mutex;
  std::condition_variable requested;
};

CancelledSignal& cancelled_signal() {
  static auto* const kept = new CancelledSignal;
  return *kept;
}

// A module that checks pyhost.cancelled gets some time to end by itself.
Cancellations listen_here() {
  Cancellations cancellations;
  for (const CurrentRun* run = CurrentRun::here(); run != nullptr; run = run->outer()) {
    cancellations.push_back(Cancellation::of(*run));
    cancellations.back()->listen();
  }
  return cancellations;
}

bool is_requested(const Cancellations& cancellations) {
  return std::ranges::any_of(cancellations,
                             [](const auto& each) { return each->requested() && !each->over(); });
}

PyObject* is_set(PyObject* /*self*/, PyObject* /*none*/) {
  return PyBool_FromLong(is_requested(listen_here()));
}

// Waits at most this many seconds, in slices, so that Ctrl-C is noticed.
PyObject* wait(PyObject* /*self*/, PyObject* seconds) {
  constexpr double longest = 1e9;  // a larger number would overflow the clock
  constexpr std::chrono::milliseconds slice(50);
  const double limit = seconds == Py_None ? longest : PyFloat_AsDouble(seconds);
  if (PyErr_Occurred() != nullptr) return nullptr;
  if (std::isnan(limit)) return PyErr_SetString(PyExc_ValueError, "a time to wait cannot be NaN"), nullptr;
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                      std::chrono::duration<double>(std::clamp(limit, 0.0, longest)));
  const Cancellations cancellations = listen_here();
  while (!is_requested(cancellations) && Clock::now() < end) {
    {
      const GilRelease no_gil;
      std::unique_lock lock(cancelled_signal().mutex);
      cancelled_signal().requested.wait_until(lock, std::min(end, Clock::now() + slice),
                                              [&] { return is_requested(cancellations); });
    }
    if (PyErr_CheckSignals() != 0) return nullptr;
  }
  return PyBool_FromLong(is_requested(cancellations));
}

}  // namespace

void add_cancelled_functions() {
  static PyMethodDef functions[] = {{"is_set", is_set, METH_NOARGS, nullptr},
                                    {"wait", wait, METH_O, nullptr}};
  for (PyMethodDef& each : functions) add_native_function(each);
  const py::object type =
      require(PyErr_NewExceptionWithDoc("pyhost.Stopped",
                                        "Raised in a run to cancel it. Clean up, and raise it again.",
                                        PyExc_BaseException, nullptr),
              "making pyhost.Stopped");
  set_native_attribute("Stopped", type);
}

py::object stopped_type() {
  py::object type = native_attribute("Stopped");
  return type && PyExceptionClass_Check(type.ptr()) ? type : borrow(PyExc_KeyboardInterrupt);
}

void wake_cancelled_waiters() noexcept {
  {
    const std::lock_guard lock(cancelled_signal().mutex);
  }
  cancelled_signal().requested.notify_all();
}

}  // namespace pyhost::detail
