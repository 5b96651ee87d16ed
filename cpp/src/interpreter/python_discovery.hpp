// Finds and checks the Python that a start would use. This happens before the start, because a process cannot
// start Python again after a failure.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "pyhost/environment.hpp"
#include "pyhost/options.hpp"

namespace pyhost::detail {

using ModulePaths = std::vector<std::filesystem::path>;

/// Returns the version of Python that this library was compiled for, as in "3.11".
std::string built_version();

/// Returns the version and the library file of the CPython in this process, which may differ from the one at
/// build time.
Environment loaded_library();

/// Checks that the CPython in this process has the version that this library was compiled for.
/// Throws: StartupFailed.
void check_library(const Environment& loaded);

struct StandardLibrary {
  std::filesystem::path home;    ///< The prefix of the installation.
  std::filesystem::path folder;  ///< The folder of the library's files.
};

/// Returns the standard library that the options choose.
/// Throws: StartupFailed if it does not exist.
StandardLibrary find_standard_library(const Options& options);

/// Sets venv, venv_source and warnings of the environment.
/// Throws: StartupFailed if the options name a venv that cannot be used.
void find_venv(const Options& options, const ModulePaths& paths, Environment& environment);

/// Returns a python binary of the version that this library was compiled for: that of the venv if one is
/// given, otherwise that of `home`. Empty if there is none.
std::filesystem::path find_executable(const std::filesystem::path& venv, const std::filesystem::path& home);

/// Finds and checks all of the above.
/// Throws: StartupFailed.
Environment find_environment(const Options& options, const ModulePaths& paths);

}  // namespace pyhost::detail
