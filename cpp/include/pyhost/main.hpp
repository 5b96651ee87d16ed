// Functions that a program calls in its main().
#pragma once

#include <optional>

#include "pyhost/installation.hpp"

namespace pyhost {

/// Lets the program replace a python binary that is not installed. Call it first in main().
///
/// On a machine with Python's library but without a python binary, a host sets `sys.executable` to a link to
/// the program that is named like a python binary, so that multiprocessing and subprocess work in modules. If
/// the program was started by that name, this function runs it as a python binary and returns the exit code
/// for main(). Otherwise it returns nothing.
std::optional<int> python_main(int argc, char** argv);

/// Lets the program be the worker process of its own pools: see PoolOptions::worker. Call it first in main(),
/// before the program starts threads.
///
/// If a pool has started this process as a worker, this function executes the runs of that pool until the
/// pool is closed, and returns the exit code for main(). Otherwise it returns nothing.
std::optional<int> worker_main(int argc, char** argv);

/// Shuts down the Python that a host has started: waits for the threads that modules have left running, calls
/// their atexit handlers, flushes their output, and closes their open files. If this takes longer than
/// Options::shutdown_timeout, reports on stderr what is still running, and exits the process with
/// `exit_code`.
///
/// Call it at the end of main(), after the last Host is closed. Static and thread_local objects of extension
/// modules still exist then. Without this call, Python is shut down while the process exits, just before the
/// objects that existed when the last Host was closed are destroyed.
///
/// Afterwards no host can be opened, and calls of existing ones throw HostClosed. Further calls do nothing. A
/// Python that the host has joined is not shut down.
/// Thread: any, preferably the main thread.
void shut_down(int exit_code = 0) noexcept;

}  // namespace pyhost
