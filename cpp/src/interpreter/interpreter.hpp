// The process's one CPython: how it starts, or is joined where it runs already.
#pragma once

#include "interpreter/python_discovery.hpp"
#include "pyhost/environment.hpp"
#include "pyhost/options.hpp"

namespace pyhost::detail {

/// Sees to it that CPython runs: starts it by a PyConfig of our own, lets the GIL go, and ends it with the
/// process; or joins the one that somebody else started, and leaves its end to them. Gives the Python that
/// runs. Throws StartupFailed; what can be known is checked before the start.
Environment start_interpreter(const Options& options, const ModulePaths& paths);

/// Says that this program calls python_main(), and so may stand in for a python binary.
void allow_stand_in() noexcept;

}  // namespace pyhost::detail
