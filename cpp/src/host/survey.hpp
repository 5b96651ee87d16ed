// The survey of all modules, which Python does in one call, and how it comes back.
#pragma once

#include <string>
#include <vector>

#include "interpreter/modules_package.hpp"
#include "pyhost/survey.hpp"

namespace pyhost::detail {

/// The survey, and the names among those asked for that are no module's.
struct Surveyed {
  Survey survey;
  std::vector<std::string> missing;
};

/// Surveys all modules, or those named. Throws StartupFailed if pyhost's own Python files are not there.
/// The caller holds the GIL.
Surveyed survey(const ModulePaths& paths, const std::vector<std::string>& names, Look look);

/// Returns the hash over the source files in the module paths; see Host::code_hash(). The caller holds the
/// GIL.
std::string code_hash(const ModulePaths& paths);

}  // namespace pyhost::detail
