// The options of a run: its limits, and its place in a schedule.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "pyhost/error.hpp"

namespace pyhost {

/// The entry and due time of a scheduled run. Modules read them from `pyhost.current_run().scheduled`.
struct Scheduled {
  /// The name of the entry of the schedule.
  std::string entry;

  /// When the run was due. The run begins later. Modules see this time in microseconds.
  std::chrono::system_clock::time_point due;

  /// The number of the attempt, from 1. Retries for the same due time have higher numbers.
  int attempt = 1;
};

/// The options of a run. Every member has a default.
///
/// A run is stopped at its timeout, and when it is cancelled. `pyhost.cancelled` is then set for the module,
/// and the task of an async run is cancelled. Then the exception `pyhost.Stopped` is raised in the module,
/// again and again until the run ends. The caller gets TimedOut or Cancelled, even if the run still returns a
/// result.
///
/// C code is not interrupted. On the main thread, a signal wakes up most blocking system calls. On other
/// threads, the run ends when the C code returns. At Isolation::Process, the worker process is killed: at the
/// timeout, or if the run has not ended within `grace` after its cancellation.
struct RunOptions {
  /// The timeout of the run. It includes load and create, if they are part of the call. At
  /// Isolation::Process, the worker process is then killed.
  /// Default: none. In a pool, PoolOptions::timeout.
  std::optional<std::chrono::milliseconds> timeout = {};

  /// The timeout of the import, if this run imports the module. `timeout` then starts after the import.
  /// Default: none, so that `timeout` includes the import. In a pool, PoolOptions::import_timeout.
  std::optional<std::chrono::milliseconds> import_timeout = {};

  /// The time in which a run should end after its timeout or cancellation. In the first half of this time,
  /// `pyhost.Stopped` is not raised in async runs and in modules that check `pyhost.cancelled`, so that they
  /// can end by themselves.
  std::chrono::milliseconds grace = std::chrono::seconds(1);

  /// Cancels the run when a stop is requested, from any thread. A run that waits in a pool is then not
  /// started.
  std::stop_token stop = {};

  /// Called once if the run does not end within `grace`. The error contains the current line of the run, and
  /// whether it is in C code. Not called at Isolation::Process.
  /// Thread: an internal thread, without the GIL.
  std::function<void(const Error&)> on_stuck = {};

  /// The entry and due time of a scheduled run. A Scheduler sets it.
  /// Default: null, for other runs.
  std::shared_ptr<const Scheduled> scheduled = {};
};

namespace detail {
/// The options of a run() that is called without options. run() compares the address, and then skips the
/// tests of each option.
extern const RunOptions no_options;
}  // namespace detail

}  // namespace pyhost
