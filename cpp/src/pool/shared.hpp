// Level shared: threads over the process's one interpreter.
#pragma once

#include <memory>

#include "pool/run_queue.hpp"
#include "pyhost/host.hpp"
#include "run/spans.hpp"

namespace pyhost::detail {

/// A worker that makes its runs on its own thread by the host, which it uses until work() returns, as it does
/// the function.
std::unique_ptr<Worker> make_shared_worker(Host& host, const OnSpan& on_span);

}  // namespace pyhost::detail
