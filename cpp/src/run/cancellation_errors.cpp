// Which run was cancelled, by what, and how it took that.
#include "run/cancellation_errors.hpp"

#include <utility>

#include "error/duration_text.hpp"
#include "error/source_lines.hpp"

namespace pyhost::detail {

namespace {

// "its deadline of 2 s"
std::string reason_of(const CancelledRun& run) {
  if (run.why != ErrorKind::TimedOut) return "the request to stop";
  return (run.limits_import ? "the import's deadline of " : "its deadline of ") + in_seconds(*run.limit);
}

std::string hint_of(const CancelledRun& run) {
  return run.why == ErrorKind::TimedOut && run.limits_import ? std::string(import_timeout_hint) : "";
}

// "module 'x'"
std::string subject_of(const CancelledRun& run) {
  return run.module.empty() ? "what modules left behind" : "module '" + run.module + "'";
}

Frame with_source(Frame frame) {
  if (frame.line > 0) frame.source = SourceFiles().line(frame.file, frame.line);
  return frame;
}

std::string_view text_of(RunPosition position) {
  switch (position) {
    case RunPosition::Unknown:
      return "in C code that does not let go of Python, somewhere after this line";
    case RunPosition::InC:
      return "in C code, called here, which does not return";
    case RunPosition::InImport:
      return "in Python's import machinery, which is not interrupted, and may wait for another thread";
    case RunPosition::Uninterruptible:
      return "in code that is not interrupted, such as a __del__";
    case RunPosition::InPython:
      break;
  }
  return "here, and catches pyhost.Stopped";
}

std::string message_of(const CancelledRun& run, CancelledEnd end) {
  const std::string late = in_seconds(run.late) + " after " + reason_of(run);
  switch (end) {
    case CancelledEnd::Stopped:
      return run.why == ErrorKind::TimedOut ? "was stopped at " + reason_of(run) : "was cancelled";
    case CancelledEnd::StoppedLate:
      return "was stopped only " + late + ": until then it was in C code";
    case CancelledEnd::ByItself:
      return "ended " + late + ", by itself: it had seen pyhost.cancelled";
    case CancelledEnd::CaughtStopped:
      return "ended " + late + ": it caught pyhost.Stopped";
    case CancelledEnd::AfterImport:
      return "ended " + late + ": it was in Python's import machinery, which is not interrupted";
    case CancelledEnd::NotInterrupted:
      break;
  }
  return "ended " + late + ": it was in C code, which could not be interrupted";
}

}  // namespace

Error no_timer_error(const std::string& module, const Error& refused) {
  return Error({.kind = ErrorKind::StartupFailed,
                .phase = Phase::Run,
                .module = module,
                .message = "module '" + module +
                           "' was not run, since nothing can watch its timeout: " + refused.message(),
                .hint = "allow the process more threads, or run it without a timeout"});
}

Error not_started_error(const CancelledRun& run) {
  return Error(
      {.kind = run.why,
       .phase = Phase::Run,
       .module = run.module,
       .message = "module '" + run.module +
                  (run.why == ErrorKind::TimedOut ? "' was stopped, because " + reason_of(run) + " had passed"
                                                  : "' was cancelled")});
}

Error stuck_error(const CancelledRun& run, RunPosition position, const Frame& place) {
  return Error({.kind = run.why,
                .phase = Phase::Run,
                .module = run.module,
                .message = subject_of(run) + " still runs " + in_seconds(run.late) + " after " +
                           reason_of(run) + ": it is " + std::string(text_of(position)),
                .hint = position == RunPosition::InPython
                            ? "`except BaseException` has to let pyhost.Stopped pass"
                            : "what cannot be interrupted can only be ended with its process",
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
