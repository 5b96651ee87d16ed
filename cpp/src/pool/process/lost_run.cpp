// Describes how a worker process ended, as the error of the run that it was executing.
#include "pool/process/lost_run.hpp"

#include <utility>

#include "error/duration_text.hpp"
#include "run/cancellation_errors.hpp"

namespace pyhost::detail {

Error lost_run(const Job& job, const Loss& loss, const std::string& trace) {
  const std::string module = "module '" + job.module + "' ";
  PythonException exception = traced_exception(trace);
  Error::Data data{.kind = loss.killed.value_or(ErrorKind::WorkerCrashed),
                   .phase = loss.in_import ? Phase::Import : Phase::Run,
                   .module = job.module};
  const std::string_view when = loss.in_import ? " while it was imported" : "";
  if (loss.killed) {
    if (*loss.killed == ErrorKind::TimedOut) {
      const bool is_of_import = job.options.import_timeout && (loss.in_import || !job.options.timeout);
      const auto& limit = is_of_import ? job.options.import_timeout : job.options.timeout;
      data.message = module + "was killed at " + (is_of_import ? "the import's" : "its") + " deadline of " +
                     in_seconds(*limit);
      if (is_of_import) data.hint = import_timeout_hint;
    } else {
      data.message =
          module + "was killed: it still ran " + in_seconds(job.options.grace) + " after its cancellation";
    }
    data.place = Error({.exception = std::move(exception)}).place();
    return Error(std::move(data));
  }
  if (!loss.broken.empty()) {
    data.message = module + "broke its worker process" + std::string(when) + ": " + loss.broken;
  } else if (loss.exit_status.signal != 0) {
    data.message = module + "crashed its worker process" + std::string(when) + ": it was ended by " +
                   to_string(loss.exit_status);
    data.signal = loss.exit_status.signal;
    if (loss.exit_status.of_oom_killer)
      data.hint =
          "allow its control group more memory, use fewer workers, or set a memory limit, at which Python "
          "raises MemoryError";
  } else {
    data.message =
        module + "ended its worker process" + std::string(when) + " with " + to_string(loss.exit_status);
    if (loss.exit_status.known) data.hint = "end a module by returning or raising, not by os._exit()";
  }
  data.exception = std::move(exception);
  return Error(std::move(data));
}

Error no_worker(const ExitStatus& exit_status, const std::string& broken) {
  return Error({.kind = ErrorKind::StartupFailed,
                .phase = Phase::Start,
                .message = "a worker process did not start: " +
                           (broken.empty() ? "it ended with " + to_string(exit_status) : broken),
                .hint = "its output on stderr may say why"});
}

}  // namespace pyhost::detail
