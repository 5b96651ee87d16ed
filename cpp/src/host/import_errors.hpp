// The errors of a module that cannot be found, imported, or loaded now.
#pragma once

#include <string>

#include "interpreter/python_discovery.hpp"

namespace pyhost::detail {

/// Throws ModuleNotFound: which folders were searched, and which names are similar.
[[noreturn]] void throw_not_found(const std::string& name, const ModulePaths& paths);

/// Throws the Python exception of a failed import, as ModuleNotFound or ImportFailed. The caller holds the
/// GIL.
[[noreturn]] void throw_not_imported(const std::string& name, const ModulePaths& paths);

/// Throws HostClosed for a module whose on_unload asks the host for the module itself.
[[noreturn]] void throw_being_unloaded(const std::string& name);

}  // namespace pyhost::detail
