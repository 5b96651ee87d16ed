// Stopping a run: at its deadline, by a stop token, or by its number; told to the module, then raised in it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "pyhost/error.hpp"
#include "pyhost/run_options.hpp"
#include "python/python.hpp"
#include "python/timers.hpp"
#include "run/current_run.hpp"

namespace pyhost::detail {

/// Puts pyhost.Stopped and what `pyhost.cancelled` calls into `_pyhost`. The caller holds the GIL.
void prepare_cancellation();

/// From now on a signal wakes this thread where it waits in C code and is to stop, if it is the main one and
/// the signal is free; Cancellation::prepare() sees to that as well. The caller holds the GIL.
void enable_wakeup_signal();

/// "2 s", to the millisecond.
std::string in_seconds(std::chrono::steady_clock::duration time);

/// That this thread is in a module's code for as long as it lives; only there is a stop raised. What was
/// raised and has not arrived by its end does not arrive later. The caller holds the GIL.
class InModuleCode {
 public:
  explicit InModuleCode(CurrentRun::Thread& thread) : thread_(thread), before_(thread.inside) {
    thread_.inside = true;
  }
  ~InModuleCode() {
    thread_.inside = before_;
    if (thread_.raised) [[unlikely]]
      take_back();
  }
  InModuleCode(const InModuleCode&) = delete;
  InModuleCode& operator=(const InModuleCode&) = delete;

 private:
  void take_back() noexcept;
  CurrentRun::Thread& thread_;
  bool before_;
};

/// What a call into a module's code returns; null with Python's error set.
template <class Call>
py::object call_module_code(CurrentRun::Thread& thread, Call call) {
  const InModuleCode in_module_code(thread);
  return steal(call());
}
template <class Call>
py::object call_module_code(const CurrentRun& run, Call call) {
  return call_module_code(run.thread(), std::move(call));
}

/// The stop of one run, made when somebody may want it.
class Cancellation : public std::enable_shared_from_this<Cancellation> {
 public:
  using Clock = Timers::Clock;

  /// That of the run, made if there is none. The caller holds the GIL.
  static std::shared_ptr<Cancellation> of(const CurrentRun& run);

  /// Takes the time, the token and the rest from the options; the time began at `begun`. Throws TimedOut or
  /// Cancelled if it is to stop already.
  void prepare(const RunOptions& options, Clock::time_point begun);

  /// Wants the run to stop from now on. Needs no GIL, and waits for nothing.
  void request(ErrorKind why) noexcept;

  bool requested() const noexcept { return requested_; }
  ErrorKind why() const noexcept { return why_; }

  /// The module listens: it is to be told, and has some time to end by itself. The caller holds the GIL.
  void listen() noexcept { listens_ = true; }

  /// The run is over, or what is left of it is not to be stopped. The caller holds the GIL.
  void end() noexcept;
  bool over() const noexcept { return over_; }

  /// When its time began.
  Clock::time_point begun() const noexcept { return begun_; }

  /// How a call that this stop was asked for, and that is over, is to be told. `raised` may be null.
  Error told(Phase phase, const py::object& raised) const;

  /// The options for what has to be done after the run all the same.
  RunOptions for_the_rest() const {
    return {.timeout = grace_, .grace = grace_, .stop = {}, .on_stuck = on_stuck_};
  }

 private:
  std::optional<Clock::time_point> on_timer() noexcept;
  std::optional<Clock::time_point> on_timer_without_gil() noexcept;
  void set_timers(Clock::time_point when);
  void raise();
  void wake_from_outside();
  void look();
  void cancel_task(Clock::time_point now);
  bool may_clean_up() const;
  void watch_deadline();
  void must_begin();
  enum class Where { InC, InMachinery, InPython };
  Where where(bool pending) const;
  void tell_stuck(Where where);
  std::string deadline() const;
  std::string subject() const;
  Timers& inside() const { return thread_.timers != nullptr ? *thread_.timers : Timers::with_gil(); }

  explicit Cancellation(const CurrentRun& run)
      : thread_(run.thread()),
        interpreter_(PyInterpreterState_Get()),
        module_(run.module()),
        begun_(Clock::now()) {}

  CurrentRun::Thread& thread_;       // alive until the run is over
  PyInterpreterState* interpreter_;  // as well
  std::string module_;
  Clock::time_point begun_;
  std::optional<std::chrono::milliseconds> timeout_;
  std::chrono::milliseconds grace_ = RunOptions().grace;
  std::function<void(const Error&)> on_stuck_;
  std::stop_token token_;
  std::optional<std::stop_callback<std::function<void()>>> callback_;

  std::atomic<bool> requested_ = false;  // after the two that follow
  ErrorKind why_ = ErrorKind::TimedOut;
  Clock::time_point requested_at_;
  std::mutex requesting_;
  std::atomic<bool> over_ = false;     // set with the GIL and requesting_
  std::atomic<bool> entered_ = false;  // whether the GIL was to be had since it was asked

  bool listens_ = false;                                // these are guarded by the GIL
  std::optional<Clock::time_point> task_cancelled_at_;  // the last time
  bool in_c_ = false;                                   // whether what was raised was long in arriving
  bool imports_ = false;  // whether it was in the machinery of imports when it was last looked at
  std::optional<Clock::time_point> arrived_at_;  // when it was first seen that what was raised had arrived
  Frame place_;                                  // where the module was when it was last looked at

  std::mutex telling_;  // held while on_stuck is called
  std::atomic<bool> stuck_told_ = false;
  std::optional<Timers::Id> inside_, outside_;  // guarded by requesting_
};

/// Makes the run, which began at `begun`, one that the options can stop; costs a few tests if they do not.
/// Throws TimedOut or Cancelled if that is so already.
inline void apply_limits(const RunOptions* options, const CurrentRun& run,
                         Cancellation::Clock::time_point begun) {
  if (options == nullptr || (!options->timeout && !options->stop.stop_possible())) return;
  Cancellation::of(run)->prepare(*options, begun);
}

/// The same of a run that begins now.
inline void apply_limits(const RunOptions* options, const CurrentRun& run) {
  if (options != nullptr) apply_limits(options, run, Cancellation::Clock::now());
}

/// The same where a stop is possible.
void throw_if_cancelled_here(const CurrentRun& run, Phase phase);

/// Throws TimedOut or Cancelled if this run or one around it is to stop, and with it goes what Python has
/// set.
inline void throw_if_cancelled(const CurrentRun& run, Phase phase) {
  if (run.cancellation() || run.outer() != nullptr) [[unlikely]]
    throw_if_cancelled_here(run, phase);
}

}  // namespace pyhost::detail
