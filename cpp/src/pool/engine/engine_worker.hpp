// Makes the runs of a pool on other machines, by an engine such as Dask.
#pragma once

#include <memory>

#include "host/host_internals.hpp"
#include "pool/run_queue.hpp"
#include "pyhost/pool.hpp"

namespace pyhost::detail {

/// Connects to the engine that the options name. `host` must outlive the worker. Throws: InvalidEngine,
/// Unreachable.
std::unique_ptr<Worker> make_engine_worker(const HostInternals& host, const PoolOptions& options);

}  // namespace pyhost::detail
