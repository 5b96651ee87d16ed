// Isolation::Interpreter: each worker thread has an interpreter with its own GIL and modules.
#pragma once

#include <functional>
#include <memory>

#include "pool/run_queue.hpp"
#include "pyhost/host.hpp"

namespace pyhost::detail {

/// Makes a host in the current interpreter of the thread.
using MakeHost = std::function<std::unique_ptr<Host>()>;

/// Makes a worker whose interpreter exists while work() runs. When work() ends, it waits for threads that
/// modules have left running, at most for the shutdown timeout. `options` must outlive work(). Throws:
/// StartupFailed if this Python does not support such interpreters.
std::unique_ptr<Worker> make_interpreter_worker(MakeHost make_host, const Options& options);

}  // namespace pyhost::detail
