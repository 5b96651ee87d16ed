// Restores the application's signal handlers when a run ends that has set others by signal.signal().
#pragma once

#include <atomic>

#include "python/python.hpp"
#include "run/current_run.hpp"

namespace pyhost::detail {

/// Intercepts signal.signal() in the main interpreter. Does nothing the second time. The caller holds the
/// GIL.
void watch_signal_handlers();

/// Sets a handler of pyhost's own, which is not restored at the end of a run. Returns null with Python's
/// error set if that fails.
py::object set_own_handler(int signal, PyObject* handler);

/// The thread whose runs have set handlers that are not restored yet: Python's main thread, or 0.
inline std::atomic<unsigned long> signals_borrowed_by = 0;

/// Restores the application's handlers, and the timers that belong to them, if this thread's runs have
/// changed them and no stream keeps them. The caller holds the GIL.
void give_signals_back() noexcept;

/// Its destructor restores the handlers that a run has set, unless the run is nested in another one. Costs
/// two tests.
class BorrowedSignals {
 public:
  explicit BorrowedSignals(const CurrentRun& run) : run_(run) {}
  [[gnu::always_inline]] ~BorrowedSignals() {
    if (signals_borrowed_by.load(std::memory_order_relaxed) != 0 && run_.outer() == nullptr) [[unlikely]]
      give_signals_back();
  }
  BorrowedSignals(const BorrowedSignals&) = delete;
  BorrowedSignals& operator=(const BorrowedSignals&) = delete;

 private:
  const CurrentRun& run_;
};

/// The handlers that a stream keeps from one item to the next.
class StreamSignals {
 public:
  StreamSignals() = default;
  ~StreamSignals() { after_step(false); }
  StreamSignals(const StreamSignals&) = delete;
  StreamSignals& operator=(const StreamSignals&) = delete;

  /// Must be called at the end of each step, before its BorrowedSignals is destroyed.
  void after_step(bool goes_on) noexcept;

 private:
  bool kept_ = false;
};

}  // namespace pyhost::detail
