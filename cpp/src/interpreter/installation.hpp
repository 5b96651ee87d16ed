// The files that came with pyhost: its own Python files, and its programs.
#pragma once

#include <filesystem>
#include <vector>

namespace pyhost::detail {

/// Returns the file of the running program. Without /proc it is the file of the library or program that this
/// code is in.
std::filesystem::path program_file();

/// Makes python_modules() return this folder; an empty path makes it look for one. Throws: StartupFailed if
/// the folder does not hold pyhost's Python files.
void use_python_modules(const std::filesystem::path& folder);

/// Returns the folder of pyhost's own Python files: the one that use_python_modules() has named, one beside
/// the program, the one in the source tree if the program was built there, or where pyhost is installed.
/// Empty if there is none.
std::filesystem::path python_modules();

/// Returns the folders in which a program of pyhost may be, the nearest first.
std::vector<std::filesystem::path> program_folders();

}  // namespace pyhost::detail
