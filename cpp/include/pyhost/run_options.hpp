// How one run is made, and when it is to stop.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>

#include "pyhost/error.hpp"

namespace pyhost {

/// How one run is made. Every member has a default.
///
/// A run that is to stop is told so by `pyhost.cancelled`, then by the exception pyhost.Stopped (an async one
/// by the cancelling of its task), again and again until it ends, and the caller gets TimedOut or Cancelled,
/// whatever the run has come to by then. Code in C is not interrupted: where it waits on the main thread it
/// mostly is, because a signal wakes it, and elsewhere it is waited for.
struct RunOptions {
  /// The run is to stop when it has taken so long, its load and create included where they are part of it.
  std::optional<std::chrono::milliseconds> timeout = {};

  /// How long a run that has been told to stop is given. A module that asks `pyhost.cancelled`, or is async,
  /// has the first half of it to end by itself.
  std::chrono::milliseconds grace = std::chrono::seconds(1);

  /// The run is to stop when this says so; from any thread.
  std::stop_token stop = {};

  /// Is told once if the run goes on after the grace, on a thread of pyhost's and without the GIL: where the
  /// run is, and whether it is in C code. What is stuck in C code cannot be stopped within a process.
  std::function<void(const Error&)> on_stuck = {};
};

}  // namespace pyhost
