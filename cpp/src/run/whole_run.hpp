// The short form of a whole run: of a module that is loaded already, and that nothing observes.
#pragma once

#include <memory>

#include "pyhost/state.hpp"
#include "run/current_run.hpp"
#include "run/handle_data.hpp"

namespace pyhost::detail {

/// Calls create and run of the module, closes the object, and returns the result. All of this is one step, so
/// it costs less than the handles Module and Instance. Errors are reported and thrown as by them. The caller
/// holds the GIL.
template <class As>
typename As::Result create_and_run(const CurrentRun& run, std::shared_ptr<ModuleData>&& module,
                                   const State& state, const As& how);

}  // namespace pyhost::detail
