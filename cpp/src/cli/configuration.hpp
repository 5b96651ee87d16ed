// The project file: pyhost.toml, or [tool.pyhost] in pyproject.toml.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pyhost::cli {

/// The content of the project file. Paths in the file are relative to its folder, and absolute here.
struct Configuration {
  /// The defaults of a module.
  struct Module {
    std::string state;  ///< JSON text, or empty.
    std::optional<std::chrono::milliseconds> timeout;
  };
  std::filesystem::path file;  ///< Empty if there is none.
  std::vector<std::string> module_paths;
  std::string venv;
  std::string store;
  std::string log_level;
  std::string log_format;
  std::map<std::string, std::string> connections;
  std::map<std::string, Module> modules;
  bool has_schedule = false;  ///< The scheduler reads that table itself.

  /// Returns the defaults of a module, which are empty if the file does not name it.
  const Module& of(const std::string& module) const;
};

/// Returns the nearest project file, in the current folder or above. It is read once. A pyproject.toml
/// without [tool.pyhost] does not count. Throws: ConfigurationError.
const Configuration& configuration();

}  // namespace pyhost::cli
