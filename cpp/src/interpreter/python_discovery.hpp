// Which Python a start would use: looked up and checked while nothing is started, because a failed start
// cannot be repeated in the same process.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "pyhost/environment.hpp"
#include "pyhost/options.hpp"

namespace pyhost::detail {

using ModulePaths = std::vector<std::filesystem::path>;

/// The version of Python that this library was compiled for, as in "3.11".
std::string built_version();

/// The version and the file of the CPython in this process, which need not be the one built for.
Environment loaded_library();

/// Throws StartupFailed if the CPython in this process is of another version than the one built for.
void check_library();

struct StandardLibrary {
  std::filesystem::path home;    ///< The prefix that it lies under.
  std::filesystem::path folder;  ///< The folder of its files.
};

/// The standard library that the options ask for. Throws StartupFailed if it is not there.
StandardLibrary find_standard_library(const Options& options);

/// Writes venv, venv_source and warnings. Throws StartupFailed for a venv that was asked for and cannot be
/// used.
void find_venv(const Options& options, const ModulePaths& paths, Environment& environment);

/// A python binary of the version built for: the venv's own, else the one of this home. Empty if there is
/// none.
std::filesystem::path find_executable(const std::filesystem::path& venv, const std::filesystem::path& home);

/// All of it. Throws StartupFailed.
Environment find_environment(const Options& options, const ModulePaths& paths);

}  // namespace pyhost::detail
