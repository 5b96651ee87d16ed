// The errors of modules that cannot be found, imported or loaded.
#pragma once

#include <string>

#include "interpreter/python_discovery.hpp"

namespace pyhost::detail {

/// Throws ModuleNotFound. Its message names the folders that were searched, and its hint a similar name.
[[noreturn]] void throw_not_found(const std::string& name, const ModulePaths& paths);

/// Converts the Python exception of a failed import to an Error, ModuleNotFound or ImportFailed, and throws
/// it. The caller holds the GIL.
[[noreturn]] void throw_not_imported(const std::string& name, const ModulePaths& paths);

/// Throws HostClosed for a module whose on_unload tries to load the module itself.
[[noreturn]] void throw_being_unloaded(const std::string& name);

}  // namespace pyhost::detail
