// Cancels a run: at its deadline, by a stop token, or by its id. A module that checks pyhost.cancelled gets
// some time to end by itself. Then pyhost.Stopped is raised in it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "pyhost/error.hpp"
#include "pyhost/run_options.hpp"
#include "python/python.hpp"
#include "python/timers.hpp"
#include "run/cancellation_errors.hpp"
#include "run/current_run.hpp"

namespace pyhost::detail {

/// Adds the functions and the exception of a cancellation to `_pyhost`. Does nothing the second time. The
/// caller holds the GIL.
void prepare_cancellation();

/// The cancellation of one run. Created when the run gets a limit, is cancelled, or checks pyhost.cancelled.
class Cancellation : public std::enable_shared_from_this<Cancellation> {
 public:
  using Clock = Timers::Clock;

  /// Returns the run's cancellation, and creates it if there is none. The caller holds the GIL.
  static std::shared_ptr<Cancellation> of(const CurrentRun& run);

  /// Applies the timeout, the stop token and the other options. The timeout counts from `begun`. Throws
  /// TimedOut or Cancelled if the run must not go on, and StartupFailed if no timer can be started.
  void prepare(const RunOptions& options, Clock::time_point begun);

  /// Called before and after the run imports its module. In between, the import's own limit applies, if the
  /// options have one. After it, the timeout starts anew. The caller holds the GIL.
  void begin_import();
  void end_import();

  /// Requests the end of the run, and does not wait for it. Needs no GIL.
  void request(ErrorKind why) noexcept;

  /// Moves the deadline, if there is one that has not passed. Called on the thread of the run.
  void postpone(std::chrono::nanoseconds by) noexcept;

  bool requested() const noexcept { return requested_; }
  ErrorKind why() const noexcept { return why_; }

  /// Called when the module checks pyhost.cancelled. From then on it gets some time to end by itself. The
  /// caller holds the GIL.
  void listen() noexcept { listens_ = true; }

  /// Ends the cancellation, because the run is over or its remaining steps must not be cancelled. The caller
  /// holds the GIL.
  void end() noexcept;
  bool over() const noexcept { return over_; }

  /// The time from which the timeout counts.
  Clock::time_point begun() const noexcept { return begun_; }

  /// Returns the error of a run that was cancelled and has ended. `raised` is the exception of its last call,
  /// or null.
  Error error_for(Phase phase, const py::object& raised) const;

  /// Returns the limits for steps that must still follow the run, such as close().
  RunOptions options_for_cleanup() const {
    return {.timeout = grace_, .grace = grace_, .stop = {}, .on_stuck = on_stuck_};
  }

 private:
  std::optional<Clock::time_point> on_timer() noexcept;
  std::optional<Clock::time_point> on_timer_without_gil() noexcept;
  void start_limit();
  void replace_limit(std::optional<std::chrono::milliseconds> limit, bool is_of_import);
  std::optional<Clock::time_point> postponed_deadline() noexcept;
  void set_timers(Clock::time_point when);
  void set_timers_locked(Clock::time_point when);
  void remove_timers_locked();
  void throw_if_requested();
  void raise();
  void wake_without_gil();
  void update_place();
  bool cancel_tasks_when_due();
  bool runs_own_task() const noexcept {
    return thread_.cancel_task && thread_.cancel_task.ptr() != outer_task_;
  }
  bool is_cleaning_up() const;
  RunPosition position(bool pending) const;
  void report_stuck(RunPosition position);
  CancelledEnd end_of(const py::object& raised) const;
  CancelledRun described() const {
    return {why_, module_, limit_, limits_import_, Clock::now() - requested_at_};
  }
  Timers& gil_timers() const { return thread_.timers != nullptr ? *thread_.timers : Timers::with_gil(); }

  explicit Cancellation(const CurrentRun& run);

  CurrentRun::Thread& thread_;       // alive until the run is over
  PyInterpreterState* interpreter_;  // alive until the run is over
  std::string module_;
  Clock::time_point begun_;  // set with requesting_ held
  std::optional<std::chrono::milliseconds> timeout_, import_timeout_;
  std::optional<std::chrono::milliseconds> limit_;  // one of these, counted from begun_; set likewise
  bool limits_import_ = false;                      // likewise
  std::chrono::milliseconds grace_ = RunOptions().grace;
  std::function<void(const Error&)> on_stuck_;
  std::stop_token token_;
  std::optional<std::stop_callback<std::function<void()>>> callback_;

  std::atomic<bool> requested_ = false;  // set after the next two
  ErrorKind why_ = ErrorKind::TimedOut;
  Clock::time_point requested_at_;
  std::mutex requesting_;
  std::atomic<bool> over_ = false;          // set with the GIL and requesting_ held
  std::atomic<bool> gil_was_free_ = false;  // whether the timer got the GIL since the request

  // These are guarded by the GIL.
  bool listens_ = false;
  bool knows_outer_loop_ = false;   // whether the two that follow are known
  PyObject* outer_loop_ = nullptr;  // the event loop that the run was called from; borrowed
  PyObject* outer_task_ = nullptr;  // cancels the task that the run was called from; borrowed
  std::optional<Clock::time_point> task_cancelled_at_;  // the last time
  bool arrived_late_ = false;                           // whether a raised exception took long to arrive
  bool in_import_ = false;                              // at the last update_place()
  Frame place_;                                         // of the module's code, at the last update_place()
  std::optional<Clock::time_point> arrived_at_;  // when a raised exception was first known to have arrived

  std::mutex reporting_;  // held while on_stuck is called
  std::atomic<bool> stuck_reported_ = false;
  std::optional<Timers::Id> gil_timer_, no_gil_timer_;  // guarded by requesting_
};

/// Moves the deadlines of all runs that this thread is in, after a wait that must not count as their time.
/// The caller holds the GIL.
void postpone_deadlines(std::chrono::nanoseconds by) noexcept;

/// The sum of these times, in nanoseconds, in a worker process, whose pool enforces the deadlines; otherwise
/// null.
inline std::atomic<std::int64_t>* postponed_total = nullptr;

/// Whether these options can cancel a run.
inline bool has_limits(const RunOptions& options) {
  return options.timeout || options.import_timeout || options.stop.stop_possible();
}

/// Applies the options' limits to a run that began at `begun`. Costs a few tests if there are none. Throws as
/// Cancellation::prepare() does.
inline void apply_limits(const RunOptions& options, const CurrentRun& run,
                         Cancellation::Clock::time_point begun) {
  if (has_limits(options)) Cancellation::of(run)->prepare(options, begun);
}

/// Applies the options' limits to a run that begins now.
[[gnu::always_inline]] inline void apply_limits(const RunOptions& options, const CurrentRun& run) {
  if (has_limits(options)) Cancellation::of(run)->prepare(options, Cancellation::Clock::now());
}

/// The slow path of throw_if_cancelled().
void throw_if_cancelled_here(const CurrentRun& run, Phase phase);

/// Throws TimedOut or Cancelled, and clears Python's error, if this run or an enclosing one was cancelled.
inline void throw_if_cancelled(const CurrentRun& run, Phase phase) {
  if (run.cancellation() || run.outer() != nullptr) [[unlikely]]
    throw_if_cancelled_here(run, phase);
}

}  // namespace pyhost::detail
