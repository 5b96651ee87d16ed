// What it means to break the contract, and how what a module raised becomes an Error.
#pragma once

#include <memory>
#include <string>

#include "python/python.hpp"
#include "run/handle_data.hpp"

namespace pyhost::detail {

/// `modules.<name>` as imported, with its `create` found. Throws BadContract. The caller holds the GIL.
std::shared_ptr<ModuleData> read_module(std::shared_ptr<HostState> host, std::string name, py::object module);

/// Throws what Python has set as ModuleRaised, after the module's on_error has seen it. The caller holds the
/// GIL.
[[noreturn]] void throw_module_raised(Phase phase, const ModuleData& module);

/// Throws what Python has set after a call of create(state), or why that could not be called. The caller
/// holds the GIL.
[[noreturn]] void throw_from_create(const ModuleData& module);

/// The same of run(). Only now is it asked whether there is a run at all.
[[noreturn]] void throw_from_run(const ModuleData& module, PyObject* object);

}  // namespace pyhost::detail
