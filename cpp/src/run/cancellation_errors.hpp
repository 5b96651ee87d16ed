// The errors of cancelled runs, in words.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "pyhost/error.hpp"

namespace pyhost::detail {

/// The facts that the messages have in common.
struct CancelledRun {
  ErrorKind why;                                   ///< TimedOut or Cancelled.
  const std::string& module;                       ///< Empty for the tasks that modules left behind.
  std::optional<std::chrono::milliseconds> limit;  ///< Of TimedOut.
  bool limits_import;                              ///< Or the whole run.
  std::chrono::steady_clock::duration late = {};   ///< The time since it was requested.
};

/// Of an import that exceeds its limit.
inline constexpr std::string_view import_timeout_hint =
    "do less when the module is imported, or allow more time: --import-timeout, or import_timeout of "
    "PoolOptions or RunOptions";

/// Where the thread of a run is that goes on after its cancellation.
enum class RunPosition { Unknown, InC, InImport, Uninterruptible, InPython };

/// How a run ended that was cancelled.
enum class CancelledEnd {
  Stopped,         ///< By the exception that was raised in it.
  StoppedLate,     ///< The same, after C code that did not return.
  ByItself,        ///< The module had asked, and returned.
  CaughtStopped,   ///< It caught pyhost.Stopped.
  AfterImport,     ///< Python's import machinery could not be interrupted.
  NotInterrupted,  ///< C code could not be interrupted.
};

/// StartupFailed: no thread could be started for the timeout.
Error no_timer_error(const std::string& module, const Error& refused);

/// A run whose cancellation was requested before its next step began.
Error not_started_error(const CancelledRun& run);

/// A run that goes on after its grace time, for on_stuck.
Error stuck_error(const CancelledRun& run, RunPosition position, const Frame& place);

/// A run that has ended after it was cancelled. `place` is where it was last seen.
Error ended_error(const CancelledRun& run, Phase phase, CancelledEnd end, const Frame& place,
                  PythonException exception);

}  // namespace pyhost::detail
