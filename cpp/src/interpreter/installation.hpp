// Finds the Python files and the programs of pyhost.
#pragma once

#include <filesystem>
#include <vector>

namespace pyhost::detail {

/// Returns the file of the running program. Without /proc, returns the file of the library or program that
/// contains this code.
std::filesystem::path program_file();

/// Makes python_modules() return this folder. An empty path makes it search for the folder again.
/// Throws: StartupFailed if the folder does not contain pyhost's Python files.
void use_python_modules(const std::filesystem::path& folder);

/// Returns the folder of pyhost's own Python files. In this order: the folder set by use_python_modules(),
/// the one beside the program, the one in the source tree if the program was built there, and the installed
/// one. Empty if there is none.
std::filesystem::path python_modules();

/// Returns the folders that may contain pyhost's programs, the nearest first.
std::vector<std::filesystem::path> program_folders();

}  // namespace pyhost::detail
