// The front door: a host embeds CPython, loads modules and runs them.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pyhost/json.hpp"
#include "pyhost/module.hpp"

namespace pyhost {

/// How a host is opened. Every member has a default.
struct Options {
  /// Folders that hold a `modules` folder; the first that has a name wins. If empty: `./python_modules`,
  /// then `.`, each if it holds `modules`, then the modules that were installed with pyhost.
  std::vector<std::filesystem::path> module_paths = {};
};

/// The process's Python, open for modules. One host is open at a time; any thread may call it. CPython
/// starts with the first host and stays until the process ends; closing a host unloads its modules.
class Host {
 public:
  /// Throws StartupFailed, before CPython is started wherever that can be known before.
  explicit Host(Options options = {});
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  /// Imports `modules.<name>`, once for as long as the host is open. The name is one or more ASCII
  /// identifiers joined by dots. Throws InvalidName, ModuleNotFound, ImportFailed, BadContract.
  Module load(std::string_view name);

  /// Loads, creates and runs: throws what these three throw.
  Json run(std::string_view name, const Json& state = {});
  template <JsonText T>
  Json run(std::string_view name, const T& state) {
    return run_from_text(name, state);
  }

  /// The same with the result as JSON text.
  std::string run_text(std::string_view name, const Json& state = {});
  template <JsonText T>
  std::string run_text(std::string_view name, const T& state) {
    return run_text_from_text(name, state);
  }

 private:
  Json run_from_text(std::string_view name, std::string_view state);
  std::string run_text_from_text(std::string_view name, std::string_view state);

  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace pyhost
