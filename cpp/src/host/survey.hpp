// Surveys all modules by one call into Python.
#pragma once

#include <string>
#include <vector>

#include "interpreter/modules_package.hpp"
#include "pyhost/survey.hpp"

namespace pyhost::detail {

/// The survey, and the requested names for which there is no module.
struct Surveyed {
  Survey survey;
  std::vector<std::string> missing;
};

/// Surveys the named modules, or all if `names` is empty. Throws StartupFailed if pyhost's own Python files
/// are missing. The caller holds the GIL.
Surveyed survey(const ModulePaths& paths, const std::vector<std::string>& names, Look look);

/// Returns the hash of the source files in the module paths; see Host::code_hash(). The caller holds the GIL.
std::string code_hash(const ModulePaths& paths);

}  // namespace pyhost::detail
