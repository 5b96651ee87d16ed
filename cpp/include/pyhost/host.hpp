// The front door: a host embeds CPython, loads modules and runs them.
#pragma once

#include <cstddef>
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
class ClaimsProcess;
class ShutdownHooks;
struct HostInternals;
class WorkerSide;
}  // namespace detail

/// The process's Python, open for modules. One host is open at a time; any thread may call it. CPython
/// starts with the first host and stays until the process ends; closing a host unloads its modules, the last
/// loaded first, and does not wait for runs on other threads: call cancel_all() before. In a process that
/// runs Python already, the host uses that, and does not end it. After Py_Finalize(), and in the child of a
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
  /// result, all as one run.
  /// Throws: what load(), Module::create() and Instance::run() throw.
  template <ResultType R = Json>
  R run(std::string_view name, const State& state = {}, const RunOptions& options = {}) {
    return detail::get_as<R>([&](const auto& how) { return run_as(how, name, state, options); });
  }

  /// Loads, creates, and returns the items that `run()` yields. The object is closed with the stream.
  template <ResultType R = Json>
  Stream<R> stream(std::string_view name, const State& state = {}, const RunOptions& options = {}) {
    return Stream<R>(open_stream(name, state, options));
  }

  /// Cancels the run with this id, which Callbacks::on_event reports. Returns false if no such run is in
  /// progress, for example between two items of a stream. Does not wait for its end, but for the GIL, which C
  /// code may hold.
  bool cancel(RunId run);

  /// Cancels all runs in progress, and returns how many there were.
  std::size_t cancel_all();

  /// Closes the module's instances, calls its `on_unload()`, and forgets the module and the helpers that only
  /// it uses: handles to it throw HostClosed, and the next load imports them again. A package goes with what
  /// was loaded from within it. A run in progress finds its instance closed. Exceptions of `close()` and
  /// `on_unload()` are reported to on_error and on_event, and stop nothing; each call may take
  /// Options::shutdown_timeout. Returns false if the module is not loaded.
  bool unload(std::string_view name);

  /// Returns access to the C++ functions that modules can call.
  HostServices services() const;

  /// Returns access to the queue of log records.
  HostLogs logs() const;

  /// The Python that runs the modules.
  const Environment& environment() const noexcept;

  /// Whether Ctrl-C has raised KeyboardInterrupt since the host was opened; see Options.interruptible.
  bool interrupted() const noexcept;

  /// Looks at the modules named, or at all that the module paths hold, without running any of them unless
  /// `look` says so. Throws InvalidName, ModuleNotFound.
  Survey survey(const std::vector<std::string>& names = {}, Look look = Look::Read);

  /// Returns which version of the modules the module paths hold: SHA-256, in hex, over the relative path and
  /// the bytes of each .py file in their folders `modules`. Nothing is imported.
  std::string code_hash();

  /// The folder of pyhost's own Python files, which holds `modules` and `pyhost`; empty if it is nowhere.
  static std::filesystem::path python_modules();

 private:
  friend class Pool;
  friend class detail::ClaimsProcess;
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
