// The error messages of cancelled runs.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "pyhost/error.hpp"

namespace pyhost::detail {

/// The facts that all messages need.
struct CancelledRun {
  ErrorKind why;                                   ///< TimedOut or Cancelled.
  const std::string& module;                       ///< Empty for the tasks that modules left behind.
  std::optional<std::chrono::milliseconds> limit;  ///< For TimedOut.
  bool limits_import;                              ///< Whether the limit is that of the import.
  std::chrono::steady_clock::duration late = {};   ///< The time since the request.
};

/// The hint for an import that exceeds its limit.
inline constexpr std::string_view import_timeout_hint =
    "do less when the module is imported, or allow more time: --import-timeout, or import_timeout of "
    "PoolOptions or RunOptions";

/// Where the thread of a cancelled run is that does not end.
enum class RunPosition { Unknown, InC, InImport, Uninterruptible, InPython };

/// How a cancelled run ended.
enum class CancelledEnd {
  Stopped,         ///< By the exception that was raised in it.
  StoppedLate,     ///< As Stopped, but late: C code did not return.
  ByItself,        ///< The module checked pyhost.cancelled, and returned.
  CaughtStopped,   ///< It caught pyhost.Stopped.
  AfterImport,     ///< Python's import machinery could not be interrupted.
  NotInterrupted,  ///< C code could not be interrupted.
};

/// Returns StartupFailed: no thread could be started for the timeout.
Error no_timer_error(const std::string& module, const Error& refused);

/// Returns the error of a run whose cancellation was requested before its next step began.
Error not_started_error(const CancelledRun& run);

/// Returns the error, for on_stuck, of a run that still runs after its grace time.
Error stuck_error(const CancelledRun& run, RunPosition position, const Frame& place);

/// Returns the error of a run that has ended after it was cancelled. `place` is where it was last seen.
Error ended_error(const CancelledRun& run, Phase phase, CancelledEnd end, const Frame& place,
                  PythonException exception);

}  // namespace pyhost::detail
