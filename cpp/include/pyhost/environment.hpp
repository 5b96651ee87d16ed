// The Python of a process, as plain data.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace pyhost {

/// The Python of a process: the locations of its code, its standard library and its packages.
struct Environment {
  std::string version = {};            ///< The version of CPython, as in "3.11.7".
  std::filesystem::path library = {};  ///< The file with CPython's code: libpython, or the program itself.
  std::filesystem::path home = {};     ///< `sys.base_prefix`, the folder that contains the standard library.
  std::filesystem::path venv = {};     ///< The virtual environment in use, or empty.
  std::string venv_source = {};        ///< Where `venv` was configured, as in "VIRTUAL_ENV".
  std::filesystem::path executable = {};   ///< `sys.executable`, or empty if there is no python binary.
  std::vector<std::string> warnings = {};  ///< Virtual environments that were found but not used, and why.
};

}  // namespace pyhost
