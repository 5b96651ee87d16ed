// The front door: a host embeds CPython, loads modules and runs them.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pyhost/error.hpp"
#include "pyhost/json.hpp"
#include "pyhost/module.hpp"

namespace pyhost {

/// How a host is opened. Every member has a default.
struct Options {
  /// Folders that hold a `modules` folder; the first that has a name wins. If empty: `./python_modules`,
  /// then `.`, each if it holds `modules`, then the modules that were installed with pyhost.
  std::vector<std::filesystem::path> module_paths = {};

  /// Sees every error that comes out of a module (ImportFailed, BadContract, ModuleRaised, InvalidResult)
  /// before the caller does, on the caller's thread, without the GIL; several threads may call it at once.
  /// It cannot change the error; what it throws is dropped, and errors of what it runs itself are not told.
  std::function<void(const Error&)> on_error = {};
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
  Json run(std::string_view name, const Json& state = Json::object()) {
    return load(name).create(state).run();
  }
  template <JsonText T>
  Json run(std::string_view name, const T& state) {
    return load(name).create(state).run();
  }

  /// The same with the result as JSON text.
  std::string run_text(std::string_view name, const Json& state = Json::object()) {
    return load(name).create(state).run_text();
  }
  template <JsonText T>
  std::string run_text(std::string_view name, const T& state) {
    return load(name).create(state).run_text();
  }

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace pyhost
