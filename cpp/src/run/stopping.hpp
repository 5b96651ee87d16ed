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

#include "python/alarms.hpp"
#include "run/current_run.hpp"
#include "pyhost/error.hpp"
#include "pyhost/run_options.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// Puts pyhost.Stopped and what `pyhost.cancelled` calls into `_pyhost`. The caller holds the GIL.
void prepare_stopping();

/// From now on a signal wakes this thread where it waits in C code and is to stop, if it is the main one and
/// the signal is free; Stop::prepare() sees to that as well. The caller holds the GIL.
void learn_to_wake();

/// "2 s", to the millisecond.
std::string in_seconds(std::chrono::steady_clock::duration time);

/// That this thread is in a module's code for as long as it lives; only there is a stop raised. What was
/// raised and has not arrived by its end does not arrive later. The caller holds the GIL.
class Inside {
 public:
  explicit Inside(CurrentRun::Thread& thread) : thread_(thread), before_(thread.inside) {
    thread_.inside = true;
  }
  ~Inside() {
    thread_.inside = before_;
    if (thread_.raised) [[unlikely]]
      take_back();
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  void take_back() noexcept;
  CurrentRun::Thread& thread_;
  bool before_;
};

/// What a call into a module's code returns; null with Python's error set.
template <class Call>
py::object call_inside(CurrentRun::Thread& thread, Call call) {
  const Inside inside(thread);
  return own(call());
}
template <class Call>
py::object call_inside(const CurrentRun& run, Call call) {
  return call_inside(run.thread(), std::move(call));
}

/// The stop of one run, made when somebody may want it.
class Stop : public std::enable_shared_from_this<Stop> {
 public:
  using Clock = Alarms::Clock;

  /// That of the run, made if there is none. The caller holds the GIL.
  static std::shared_ptr<Stop> of(const CurrentRun& run);

  /// Takes the time, the token and the rest from the options; the time began at `begun`. Throws TimedOut or
  /// Cancelled if it is to stop already.
  void prepare(const RunOptions& options, Clock::time_point begun);

  /// Wants the run to stop from now on. Needs no GIL, and waits for nothing.
  void ask(ErrorKind why) noexcept;

  bool asked() const noexcept { return asked_; }
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
  std::optional<Clock::time_point> ring() noexcept;
  std::optional<Clock::time_point> ring_outside() noexcept;
  void set_alarms(Clock::time_point when);
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
  Alarms& inside() const { return thread_.alarms != nullptr ? *thread_.alarms : Alarms::inside(); }

  explicit Stop(const CurrentRun& run)
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

  std::atomic<bool> asked_ = false;  // after the two that follow
  ErrorKind why_ = ErrorKind::TimedOut;
  Clock::time_point asked_at_;
  std::mutex asking_;
  std::atomic<bool> over_ = false;     // set with the GIL and asking_
  std::atomic<bool> entered_ = false;  // whether the GIL was to be had since it was asked

  bool listens_ = false;                                // these are guarded by the GIL
  std::optional<Clock::time_point> task_cancelled_at_;  // the last time
  bool in_c_ = false;                                   // whether what was raised was long in arriving
  bool imports_ = false;  // whether it was in the machinery of imports when it was last looked at
  std::optional<Clock::time_point> arrived_at_;  // when it was first seen that what was raised had arrived
  Frame place_;                                  // where the module was when it was last looked at

  std::mutex telling_;  // held while on_stuck is called
  std::atomic<bool> stuck_told_ = false;
  std::optional<Alarms::Id> inside_, outside_;  // guarded by asking_
};

/// Makes the run, which began at `begun`, one that the options can stop; costs a few tests if they do not.
/// Throws TimedOut or Cancelled if that is so already.
inline void heed(const RunOptions* options, const CurrentRun& run, Stop::Clock::time_point begun) {
  if (options == nullptr || (!options->timeout && !options->stop.stop_possible())) return;
  Stop::of(run)->prepare(*options, begun);
}

/// The same of a run that begins now.
inline void heed(const RunOptions* options, const CurrentRun& run) {
  if (options != nullptr) heed(options, run, Stop::Clock::now());
}

/// The same where a stop is possible.
void must_go_on_or_throw(const CurrentRun& run, Phase phase);

/// Throws TimedOut or Cancelled if this run or one around it is to stop, and with it goes what Python has
/// set.
inline void must_go_on(const CurrentRun& run, Phase phase) {
  if (run.stop() || run.outer() != nullptr) [[unlikely]]
    must_go_on_or_throw(run, phase);
}

}  // namespace pyhost::detail
