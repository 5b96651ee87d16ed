// Isolation::Process: worker processes, each supervised by a thread of the pool.
#pragma once

#include <memory>
#include <vector>

#include "host/host_internals.hpp"
#include "pool/run_queue.hpp"
#include "pyhost/pool.hpp"

namespace pyhost::detail {

/// Returns `count` workers, which use the host until their work() returns. Throws StartupFailed if there is
/// no worker program.
std::vector<std::unique_ptr<Worker>> make_process_workers(const HostInternals& host,
                                                          const PoolOptions& options, std::size_t count);

}  // namespace pyhost::detail
