// Isolation::Shared: worker threads that share the main interpreter.
#pragma once

#include <memory>

#include "pool/run_queue.hpp"
#include "pyhost/host.hpp"
#include "run/spans.hpp"

namespace pyhost::detail {

/// Makes a worker that calls the host on its own thread. `host` and `on_span` must outlive work().
std::unique_ptr<Worker> make_shared_worker(Host& host, const OnSpan& on_span);

}  // namespace pyhost::detail
