// What a program calls in its main().
#pragma once

#include <optional>

#include "pyhost/installation.hpp"

namespace pyhost {

/// Lets the program stand in for a python binary that is not there. Call it first in main(). On a machine
/// that has Python's library but no python binary, a host makes the program itself `sys.executable`, under
/// the name of one, so that multiprocessing and subprocess work in modules. Returns the exit code for main()
/// if the program was called by that name, and nothing if it was called by its own.
std::optional<int> python_main(int argc, char** argv);

/// Lets the program be the worker process of its own pools, see PoolOptions::worker. Call it first in main(),
/// before the program has threads. If a pool has started this process as its worker, makes the runs of that
/// pool, and returns the exit code for main() once the pool is closed. Otherwise returns nothing.
std::optional<int> worker_main(int argc, char** argv);

/// Ends the Python that a host has started: waits for the threads that modules left behind, calls their
/// atexit handlers, flushes what they printed, and closes the files that they left open. All that may take
/// Options::shutdown_timeout. Then whatever still runs is named on stderr, and the process ends with
/// `exit_code`.
///
/// Call it at the end of main(), after the last Host is closed. Static and thread_local objects of extension
/// modules still exist there. Without this call, Python ends while the process exits, just before the objects
/// that existed when the last Host was closed are destroyed.
/// Afterwards no host can be opened, and every call of one throws HostClosed. The second call does nothing.
/// A Python that runs already and was joined is left alone.
/// Thread: any, but the main one is best.
void shut_down(int exit_code = 0) noexcept;

}  // namespace pyhost
