// The messages say which run was cancelled, why, and how it ended.
#include "run/cancellation_errors.hpp"

#include <utility>

#include "error/duration_text.hpp"
#include "error/source_lines.hpp"

namespace pyhost::detail {

namespace {

// "its deadline of 2 s"
std::string reason_of(const CancelledRun& run) {
  if (run.why != ErrorKind::TimedOut) return "its cancellation";
  return (run.limits_import ? "the import's deadline of " : "its deadline of ") + in_seconds(*run.limit);
}

std::string hint_of(const CancelledRun& run) {
  return run.why == ErrorKind::TimedOut && run.limits_import ? std::string(import_timeout_hint) : "";
}

// "module 'x'"
std::string subject_of(const CancelledRun& run) {
  return run.module.empty() ? "a task left in an event loop" : "module '" + run.module + "'";
}

Frame with_source(Frame frame) {
  if (frame.line > 0) frame.source = SourceFiles().line(frame.file, frame.line);
  return frame;
}

std::string_view text_of(RunPosition position) {
  switch (position) {
    case RunPosition::Unknown:
      return "in C code that does not release the GIL";
    case RunPosition::InC:
      return "in C code called here, which does not return";
    case RunPosition::InImport:
      return "in Python's import machinery, which is never interrupted and may be waiting for another thread";
    case RunPosition::Uninterruptible:
      return "in code that is never interrupted, such as a __del__";
    case RunPosition::InPython:
      break;
  }
  return "here, and it catches pyhost.Stopped";
}

std::string message_of(const CancelledRun& run, CancelledEnd end) {
  const std::string late = in_seconds(run.late) + " after " + reason_of(run);
  switch (end) {
    case CancelledEnd::Stopped:
      return run.why == ErrorKind::TimedOut ? "was stopped at " + reason_of(run) : "was cancelled";
    case CancelledEnd::StoppedLate:
      return "was stopped only " + late + ": it was in C code until then";
    case CancelledEnd::ByItself:
      return "ended by itself " + late + ": it had checked pyhost.cancelled";
    case CancelledEnd::CaughtStopped:
      return "ended " + late + ": it caught pyhost.Stopped";
    case CancelledEnd::AfterImport:
      return "ended " + late + ": it was in Python's import machinery, which is never interrupted";
    case CancelledEnd::NotInterrupted:
      break;
  }
  return "ended " + late + ": it was in C code, which could not be interrupted";
}

}  // namespace

Error no_timer_error(const std::string& module, const Error& refused) {
  return Error(
      {.kind = ErrorKind::StartupFailed,
       .phase = Phase::Run,
       .module = module,
       .message = "module '" + module +
                  "' was not run, because no timer could be started for its timeout: " + refused.message(),
       .hint = "allow the process more threads, or run it without a timeout"});
}

Error not_started_error(const CancelledRun& run) {
  return Error(
      {.kind = run.why,
       .phase = Phase::Run,
       .module = run.module,
       .message = "module '" + run.module +
                  (run.why == ErrorKind::TimedOut ? "' was stopped: " + reason_of(run) + " had passed"
                                                  : "' was cancelled")});
}

Error stuck_error(const CancelledRun& run, RunPosition position, const Frame& place) {
  return Error({.kind = run.why,
                .phase = Phase::Run,
                .module = run.module,
                .message = subject_of(run) + " still runs " + in_seconds(run.late) + " after " +
                           reason_of(run) + ": it is " + std::string(text_of(position)),
                .hint = position == RunPosition::InPython
                            ? "`except BaseException` must raise pyhost.Stopped again"
                            : "only the end of its process ends such code: run it in a worker process",
                .place = position == RunPosition::Unknown ? Frame() : with_source(place)});
}

Error ended_error(const CancelledRun& run, Phase phase, CancelledEnd end, const Frame& place,
                  PythonException exception) {
  const bool was_stopped = end == CancelledEnd::Stopped || end == CancelledEnd::StoppedLate;
  return Error({.kind = run.why,
                .phase = phase,
                .module = run.module,
                .message = subject_of(run) + " " + message_of(run, end),
                .hint = hint_of(run),
                .place = was_stopped ? Frame() : with_source(place),
                .exception = std::move(exception)});
}

}  // namespace pyhost::detail
