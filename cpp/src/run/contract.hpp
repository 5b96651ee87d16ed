// Turns breaches of the contract, and exceptions from modules, into Errors.
#pragma once

#include <memory>
#include <string>

#include "python/python.hpp"
#include "run/handle_data.hpp"

namespace pyhost::detail {

/// Returns the data of the imported `modules.<name>`, with its `create`. Throws BadContract, ImportFailed.
/// The caller holds the GIL.
std::shared_ptr<ModuleData> read_module(std::shared_ptr<HostState> host, std::string name, py::object module);

/// Throws Python's current exception as ModuleRaised, after calling the module's on_error. The caller holds
/// the GIL.
[[noreturn]] void throw_module_raised(Phase phase, const ModuleData& module);

/// Throws the error of a failed call of create(state): BadContract if it could not be called, otherwise
/// ModuleRaised. The caller holds the GIL.
[[noreturn]] void throw_from_create(const ModuleData& module);

/// Throws the error of a failed call of run(): BadContract if there is no such method, otherwise
/// ModuleRaised. The method is checked only now, after a failure. The caller holds the GIL.
[[noreturn]] void throw_from_run(const ModuleData& module, PyObject* object);

}  // namespace pyhost::detail
