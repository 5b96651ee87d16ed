// The front door: a host embeds CPython, loads modules and runs them.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "pyhost/environment.hpp"
#include "pyhost/json.hpp"
#include "pyhost/module.hpp"
#include "pyhost/options.hpp"
#include "pyhost/service.hpp"
#include "pyhost/survey.hpp"

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

  /// Lets modules call `services.<name>(…)`, imported by `from pyhost import services`, from now on; in the
  /// place of an earlier service of the name, for which it waits as withdraw() does. The name is one
  /// identifier that begins with a letter; the doc is shown in Python's help and in stubs(). Throws
  /// InvalidName.
  void provide(std::string_view name, Service service, std::string doc = {});

  /// Takes a service back; false if there is none of this name. Once it returns, no other thread is in a call
  /// of the service, or begins one. ~Host takes back all.
  bool withdraw(std::string_view name);

  /// What is provided now as the stub file pyhost/services.pyi, for type checkers and editors.
  std::string stubs() const;

  /// Waits until Options::on_log has had all that was logged so far, but no longer than that; says whether it
  /// has.
  bool flush_logs(std::chrono::milliseconds patience = std::chrono::seconds(1));

  /// How many log records were dropped in all, because on_log was too slow.
  std::uint64_t dropped_logs() const;

  /// The Python that runs the modules.
  const Environment& environment() const noexcept;

  /// Whether Ctrl-C has raised KeyboardInterrupt since the host was opened; see Options.interruptible.
  bool interrupted() const noexcept;

  /// Looks at the modules named, or at all that the module paths hold, without running any of them unless
  /// `look` says so. Throws InvalidName, ModuleNotFound.
  Survey survey(const std::vector<std::string>& names = {}, Look look = Look::Read);

  /// The folder of pyhost's own Python files, which holds `modules` and `pyhost`; empty if it is nowhere.
  static std::filesystem::path python_modules();

 private:
  Json run_from_text(std::string_view name, std::string_view state);
  std::string run_text_from_text(std::string_view name, std::string_view state);

  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace pyhost
