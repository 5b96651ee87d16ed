// What is said of a run whose worker process is gone, and of one that never was there.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "pool/process/worker_process.hpp"
#include "pool/run_queue.hpp"
#include "pyhost/error.hpp"

namespace pyhost::detail {

/// How long a run that was told to stop may go on.
inline constexpr std::chrono::seconds grace_of_stopped(1);

/// How a worker process came to its end.
struct Loss {
  const ExitStatus& exit_status;
  const std::string& broken;        ///< What it broke; empty if it just ended.
  std::optional<ErrorKind> killed;  ///< Why it was killed; nothing if it was not.
};

/// WorkerCrashed, or what the worker was killed for; with the place in the trace that it left.
Error lost_run(const Job& job, const Loss& loss, const std::string& trace);

/// StartupFailed.
Error no_worker(const ExitStatus& exit_status, const std::string& broken);

}  // namespace pyhost::detail
