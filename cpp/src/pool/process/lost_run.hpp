// The errors of runs whose worker process ended, or could not be started.
#pragma once

#include <optional>
#include <string>

#include "pool/process/worker_process.hpp"
#include "pool/run_queue.hpp"
#include "pyhost/error.hpp"

namespace pyhost::detail {

/// How a worker process ended.
struct Loss {
  const ExitStatus& exit_status;
  const std::string& broken;        ///< How it broke the protocol; empty if it just ended.
  std::optional<ErrorKind> killed;  ///< Why it was killed; nothing if it was not.
  bool in_import;                   ///< Whether it was importing the module.
};

/// Returns WorkerCrashed, or an error of the kind for which the worker was killed. The place comes from the
/// stacks that the worker wrote.
Error lost_run(const Job& job, const Loss& loss, const std::string& trace);

/// Returns StartupFailed, for a worker process that did not start.
Error no_worker(const ExitStatus& exit_status, const std::string& broken);

}  // namespace pyhost::detail
