// The limits of one run: when it must stop, and how; and what it is for.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "pyhost/error.hpp"

namespace pyhost {

/// What a scheduled run is for. The module sees it as `pyhost.current_run().scheduled`.
struct Scheduled {
  /// The entry of the schedule.
  std::string entry;

  /// When the run was due, which is before it began. The module sees microseconds.
  std::chrono::system_clock::time_point due;

  /// 1 for the first attempt; more for the retries of the same due time.
  int attempt = 1;
};

/// The limits of one run. Every member has a default.
///
/// A run that must stop learns it from `pyhost.cancelled`, then by the exception pyhost.Stopped, or an async
/// run by the cancelling of its task, again and again until it ends. The caller gets TimedOut or Cancelled,
/// whatever the run returned in the meantime. C code is not interrupted: on the main thread a signal wakes
/// most of what waits, and elsewhere C code is waited for. At Isolation::Process the worker is killed
/// instead.
struct RunOptions {
  /// How long the run may take. Its load and create count if they are part of the call. At Isolation::Process
  /// the worker is killed then.
  std::optional<std::chrono::milliseconds> timeout = {};

  /// How long the import may take, if this run is the one that imports the module; `timeout` then counts from
  /// the end of the import. Default: no limit of its own, so that the import counts for `timeout`; in a pool,
  /// PoolOptions::import_timeout.
  std::optional<std::chrono::milliseconds> import_timeout = {};

  /// How long a run that must stop is given to end. A module that asks `pyhost.cancelled`, and an async run,
  /// have the first half of it to end by themselves.
  std::chrono::milliseconds grace = std::chrono::seconds(1);

  /// Stops the run when a stop is requested, from any thread. A run that waits in a pool does not begin.
  std::stop_token stop = {};

  /// Called once if the run goes on after the grace, with where the run is and whether it is in C code. Code
  /// that is stuck in C cannot be stopped within its process. Not called at Isolation::Process. Thread: one
  /// of pyhost's, without the GIL.
  std::function<void(const Error&)> on_stuck = {};

  /// Null for a run that no schedule asks for. Default: null.
  std::shared_ptr<const Scheduled> scheduled = {};
};

}  // namespace pyhost
