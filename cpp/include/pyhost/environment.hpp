// Which Python a process runs on, as plain data.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace pyhost {

/// The Python of a process: where its code, its standard library and its packages come from.
struct Environment {
  std::string version = {};                ///< Of the CPython that was loaded, as in "3.11.7".
  std::filesystem::path library = {};      ///< The file that holds it: a libpython, or the program itself.
  std::filesystem::path home = {};         ///< `sys.base_prefix`: what the standard library lies under.
  std::filesystem::path venv = {};         ///< The virtual environment in use; empty if there is none.
  std::string venv_source = {};            ///< Who named it, as in "VIRTUAL_ENV".
  std::filesystem::path executable = {};   ///< `sys.executable`; empty if no python binary can be had.
  std::vector<std::string> warnings = {};  ///< What was found and is not used, and why.
};

}  // namespace pyhost
