// The front door: a host embeds CPython, loads modules and runs them.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "pyhost/environment.hpp"
#include "pyhost/json.hpp"
#include "pyhost/module.hpp"
#include "pyhost/options.hpp"

namespace pyhost {

/// The process's Python, open for modules. One host is open at a time; any thread may call it. CPython
/// starts with the first host and stays until the process ends; closing a host unloads its modules. In a
/// process that runs Python already, it is joined, and its end left to whoever started it. After a fork by
/// the application, the child's calls throw HostClosed.
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

  /// The Python that runs the modules.
  const Environment& environment() const noexcept;

  /// Whether Ctrl-C has raised KeyboardInterrupt since the host was opened; see Options.interruptible.
  bool interrupted() const noexcept;

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace pyhost
