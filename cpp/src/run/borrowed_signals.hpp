// Signals belong to the application: what a run sets by signal.signal is given back at its end.
#pragma once

#include <atomic>

#include "python/python.hpp"
#include "run/current_run.hpp"

namespace pyhost::detail {

/// Watches signal.signal() in the main interpreter. Does nothing the second time. The caller holds the GIL.
void watch_signal_handlers();

/// Sets a handler that is pyhost's own, and not a run's. Returns null with Python's error set if that fails.
py::object set_own_handler(int signal, PyObject* handler);

/// The thread whose runs have set handlers that have not been given back: Python's main thread, or none.
inline std::atomic<unsigned long> signals_borrowed_by = 0;

/// Makes the application's handlers, and the timers that belong to them, as they were, if this thread's runs
/// have changed them and no stream keeps them. The caller holds the GIL.
void give_signals_back() noexcept;

/// Gives back, when it goes, what a run has set, if that run is in no other one. Costs two tests.
class BorrowedSignals {
 public:
  explicit BorrowedSignals(const CurrentRun& run) : outermost_(run.outer() == nullptr) {}
  ~BorrowedSignals() {
    if (signals_borrowed_by.load(std::memory_order_relaxed) != 0 && outermost_) [[unlikely]]
      give_signals_back();
  }
  BorrowedSignals(const BorrowedSignals&) = delete;
  BorrowedSignals& operator=(const BorrowedSignals&) = delete;

 private:
  bool outermost_;
};

/// The handlers that a stream keeps from one item to the next.
class StreamSignals {
 public:
  StreamSignals() = default;
  ~StreamSignals() { after_step(false); }
  StreamSignals(const StreamSignals&) = delete;
  StreamSignals& operator=(const StreamSignals&) = delete;

  /// Must be called at the end of each step, before its BorrowedSignals goes.
  void after_step(bool goes_on) noexcept;

 private:
  bool kept_ = false;
};

}  // namespace pyhost::detail
