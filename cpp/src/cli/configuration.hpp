// The file of a project: pyhost.toml, or [tool.pyhost] in pyproject.toml.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pyhost::cli {

/// What the file says. Relative paths in it are meant from its folder, and are absolute here.
struct Configuration {
  /// What a module gets where nothing else says it.
  struct Module {
    std::string state;  ///< JSON text; empty if there is none.
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

  /// What it says of a module; nothing, if it says nothing.
  const Module& of(const std::string& module) const;
};

/// Of the file that is nearest, in the current folder or above it; read once. A pyproject.toml without
/// [tool.pyhost] is none. Throws ConfigurationError, with the file and the line.
const Configuration& configuration();

}  // namespace pyhost::cli
