// A call of create or run, from the dict that goes in to what comes of the object that is returned.
#pragma once

#include <string>

#include "awaiting.hpp"
#include "current_run.hpp"
#include "handle_data.hpp"
#include "pyhost/error.hpp"
#include "python.hpp"

namespace pyhost::detail {

/// Throws the error again, said of the module.
[[noreturn]] void throw_for(const std::string& module, const Error& error);

/// What the room of conversion refuses, said of the module that it was for.
template <class Conversion>
auto convert_for(const std::string& module, Conversion convert) {
  try {
    return convert();
  } catch (const Error& error) {
    throw_for(module, error);
  }
}

/// What `create` returns for this dict, awaited by nobody. Throws BadContract, ModuleRaised, TimedOut. The
/// caller holds the GIL.
py::object call_create(const CurrentRun& run, const ModuleData& module, const py::object& state);

/// What `run` returns, and how that gives what it gives; what is async is awaited. Throws BadContract,
/// ModuleRaised, TimedOut. The caller holds the GIL.
py::object call_run(const CurrentRun& run, InstanceData& instance, Giving& giving);

/// What a call into the module's code returned, with what it printed written out. Throws ModuleRaised,
/// TimedOut.
py::object finished(const CurrentRun& run, InstanceData& instance, py::object returned);

/// The same of the whole run: what yields is collected in a list.
py::object result_of_run(const CurrentRun& run, InstanceData& instance);

}  // namespace pyhost::detail
