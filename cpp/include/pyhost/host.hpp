// The front door: a host embeds CPython, loads modules and runs them.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "pyhost/environment.hpp"
#include "pyhost/event.hpp"
#include "pyhost/module.hpp"
#include "pyhost/options.hpp"
#include "pyhost/service.hpp"
#include "pyhost/survey.hpp"

namespace pyhost {

namespace detail {
class ShutdownHooks;
struct HostInternals;
class WorkerSide;
}  // namespace detail

/// The process's Python, open for modules. One host is open at a time; any thread may call it. CPython
/// starts with the first host and stays until the process ends; closing a host unloads its modules, the last
/// loaded first, and waits for no run on another thread: cancel_all() before. In a process that runs Python
/// already, it is joined, and its end left to whoever started it. After Py_Finalize(), and in the child of a
/// fork by the application, calls throw HostClosed.
class Host {
 public:
  /// Throws StartupFailed, before CPython is started wherever that can be known before.
  explicit Host(Options options = {});
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  /// Imports `modules.<name>` and calls its `on_load()`, once for as long as the host is open; if that
  /// raises, the module is not loaded. The name is one or more ASCII identifiers joined by dots. Throws
  /// InvalidName, ModuleNotFound, ImportFailed, BadContract.
  Module load(std::string_view name);

  /// Loads the module, creates an object from the state, calls `run()`, closes the object and returns the
  /// result, all as one run. Throws: what load(), Module::create() and Instance::run() throw.
  template <ResultType R = Json>
  R run(std::string_view name, const State& state = {}, const RunOptions& options = {}) {
    return detail::get_as<R>([&](const auto& how) { return run_as(how, name, state, options); });
  }

  /// Loads, creates, and returns the items that `run()` yields. The object is closed with the stream.
  template <ResultType R = Json>
  Stream<R> stream(std::string_view name, const State& state = {}, const RunOptions& options = {}) {
    return Stream<R>(open_stream(name, state, options));
  }

  /// Has a run stopped that is in progress on another thread, by the number that Options.on_event gives; see
  /// RunOptions. False if there is none of that number, as between two items of a stream. Does not wait for
  /// its end, but for Python's lock, which C code may hold.
  bool cancel(RunId run);

  /// The same for all runs; gives how many there were.
  std::size_t cancel_all();

  /// Closes the module's instances, calls its `on_unload()`, and forgets it: handles to it throw HostClosed,
  /// and the next load imports it anew, with the helpers of its module paths that no other loaded module
  /// uses. What it raises is told to Options.on_error and on_event, and stops nothing; each call may take
  /// Options.shutdown_timeout. With a package goes what was loaded from within it. A run that is under way
  /// finds its instance closed. False if it is not loaded.
  bool unload(std::string_view name);

  /// Lets modules call `services.<name>(…)`, imported by `from pyhost import services`, from now on; in the
  /// place of an earlier service of the name, for which it waits as withdraw() does. The name is one
  /// identifier that begins with a letter; the doc is shown in Python's help and in stubs(). Throws
  /// InvalidName.
  void provide(std::string_view name, Service service, std::string doc = {});

  /// Takes a service back; false if there is none of this name. Once it returns, no thread is in a call of
  /// the service, or begins one. Called from inside a service, it waits for nobody, since services might wait
  /// for each other: calls that run on other threads then come to their end later. ~Host takes back all.
  bool withdraw(std::string_view name);

  /// What is provided now as the stub file pyhost/services.pyi, for type checkers and editors.
  std::string stubs() const;

  /// Waits until Options::on_log has had all that was logged so far, but no longer than that; says whether it
  /// has.
  bool flush_logs(std::chrono::milliseconds patience = std::chrono::seconds(1));

  /// How many log records were dropped in all, because on_log was too slow. What is told here is not told on
  /// stderr in the end.
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
  friend class Pool;
  friend class detail::WorkerSide;
  detail::HostInternals internals() const;
  const Options& options() const noexcept;
  const std::shared_ptr<detail::ShutdownHooks>& shutdown_hooks() const noexcept;

  template <class As>
  typename As::Result run_as(const As& how, std::string_view name, const State& state,
                             const RunOptions& options);
  detail::AnyStream open_stream(std::string_view name, const State& state, const RunOptions& options);

  struct Data;
  // One for the same modules in the interpreter that this thread is in, which shares services, logs and
  // output with this one.
  std::unique_ptr<Host> in_this_interpreter() const;
  explicit Host(const Data& outer);

  std::unique_ptr<Data> data_;
};

}  // namespace pyhost
