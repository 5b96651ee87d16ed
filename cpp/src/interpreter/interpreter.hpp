// The one CPython of the process: starts it, or joins one that is already running.
#pragma once

#include "interpreter/python_discovery.hpp"
#include "pyhost/environment.hpp"
#include "pyhost/options.hpp"

namespace pyhost::detail {

/// Makes sure that CPython is running, and returns its environment. Starts CPython with a PyConfig of our
/// own, releases the GIL, and shuts it down with the process. If the application already started Python,
/// joins it and leaves its shutdown to the application.
/// Throws: StartupFailed. Whatever can be checked before the start is checked before it.
Environment start_interpreter(const Options& options, const ModulePaths& paths);

/// Declares that this program calls python_main(), so it can serve as a python binary.
void allow_stand_in() noexcept;

}  // namespace pyhost::detail
