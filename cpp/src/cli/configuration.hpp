// The project file: pyhost.toml, or [tool.pyhost] in pyproject.toml.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pyhost::cli {

/// The content of the project file. Its paths are absolute here; in the file, they are relative to its
/// folder.
struct Configuration {
  /// The defaults of a module.
  struct Module {
    std::string state;  ///< JSON text, or empty.
    std::optional<std::chrono::milliseconds> timeout;
  };
  std::filesystem::path file;  ///< Empty if there is no project file.
  std::vector<std::string> module_paths;
  std::string venv;
  std::string store;
  std::string log_level;
  std::string log_format;
  std::map<std::string, std::string> connections;
  std::map<std::string, Module> modules;
  bool has_schedule = false;  ///< Whether there is a table [schedule]. The scheduler reads it.

  /// Returns the defaults of a module, which are empty if the file does not name it.
  const Module& of(const std::string& module) const;
};

/// Returns the nearest project file, in the current folder or above. Reads it at the first call. Ignores a
/// pyproject.toml without [tool.pyhost]. Throws: ConfigurationError.
const Configuration& configuration();

}  // namespace pyhost::cli
