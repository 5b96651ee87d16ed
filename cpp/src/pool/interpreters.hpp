// Level interpreter: interpreters with a GIL and modules of their own, a thread each.
#pragma once

#include <functional>
#include <memory>

#include "pool/run_queue.hpp"
#include "pyhost/host.hpp"

namespace pyhost::detail {

/// Makes a host in the interpreter that the thread is in.
using MakeHost = std::function<std::unique_ptr<Host>()>;

/// A worker whose interpreter lives as long as work() does, as the options have to; its end waits for threads
/// that modules left behind until the shutdown timeout. Throws StartupFailed for a Python that has no such
/// interpreters.
std::unique_ptr<Worker> make_interpreter_worker(MakeHost make_host, const Options& options);

}  // namespace pyhost::detail
