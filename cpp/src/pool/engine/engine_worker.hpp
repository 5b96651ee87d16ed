// Makes the runs of a pool on other machines, through an engine such as Dask.
#pragma once

#include <memory>

#include "host/host_internals.hpp"
#include "pool/run_queue.hpp"
#include "pyhost/pool.hpp"

namespace pyhost::detail {

/// Makes a worker that is connected to the engine named in the options. `host` must outlive the worker.
/// Throws: InvalidEngine, Unreachable.
std::unique_ptr<Worker> make_engine_worker(const HostInternals& host, const PoolOptions& options);

}  // namespace pyhost::detail
