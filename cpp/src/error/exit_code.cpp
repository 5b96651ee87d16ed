// Maps kinds of errors to exit codes.
#include "error/exit_code.hpp"

namespace pyhost::detail {

ExitCode exit_code(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::ModuleRaised:
    case ErrorKind::WorkerCrashed:
      return module_raised;
    case ErrorKind::InvalidName:
    case ErrorKind::InvalidState:
    case ErrorKind::InvalidEngine:
    case ErrorKind::InvalidSchedule:
      return usage;
    case ErrorKind::ModuleNotFound:
    case ErrorKind::ImportFailed:
    case ErrorKind::BadContract:
      return not_loaded;
    case ErrorKind::InvalidResult:
      return result_not_json;
    case ErrorKind::TimedOut:
    case ErrorKind::Cancelled:
      return timed_out;
    case ErrorKind::Unreachable:
      return try_later;
    case ErrorKind::StartupFailed:
    case ErrorKind::HostClosed:
      break;
  }
  return not_started;
}

int exit_code(const Error& error) noexcept {
  constexpr int ended_by_signal = 128;
  return error.signal() != 0 ? ended_by_signal + error.signal() : exit_code(error.kind());
}

}  // namespace pyhost::detail
