// The host, which embeds CPython, loads modules and runs them.
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

/// Embeds CPython in this process, and loads and runs modules. Only one host can be open at a time. It cannot
/// be copied or moved.
///
/// The first host starts CPython, which then stays until the process ends. In a process that already runs
/// Python, the host joins that Python, and never ends it. After the application has called Py_Finalize(), and
/// in a child process that the application has forked, calls throw HostClosed.
///
/// Thread: any. The GIL is acquired and released within each call.
class Host {
 public:
  /// Starts CPython unless it runs already, and opens a host on it.
  /// Throws: StartupFailed. Everything that can be checked without Python is checked before CPython starts.
  explicit Host(Options options = {});

  /// Closes the pools of the host, then unloads its modules, the last loaded first. Does not wait for runs on
  /// other threads: call cancel_all() before.
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  /// Imports `modules.<name>` and calls its `on_load()`. If the module is already loaded, returns a handle to
  /// it. If `on_load()` raises, the module is not loaded. The name is one or more ASCII identifiers joined by
  /// dots.
  /// Throws: InvalidName, ModuleNotFound, ImportFailed, BadContract.
  Module load(std::string_view name);

  /// Runs a module once: loads it, creates an instance from the state, calls `run()`, closes the instance and
  /// returns the result. The timeout includes all of these steps.
  /// Throws: the exceptions of load(), Module::create() and Instance::run().
  template <ResultType R = Json>
  R run(std::string_view name, const State& state = {}, const RunOptions& options = detail::no_options) {
    return detail::get_as<R>([&](const auto& how) { return run_as(how, name, state, options); });
  }

  /// Like run(), but returns the items that `run()` yields, one at a time. The instance is closed with the
  /// stream.
  /// Throws: the exceptions of load(), Module::create() and Instance::stream().
  template <ResultType R = Json>
  Stream<R> stream(std::string_view name, const State& state = {}, const RunOptions& options = {}) {
    return Stream<R>(open_stream(name, state, options));
  }

  /// Cancels the run with this id. Callbacks::on_event is called with the ids of runs. Returns false if no
  /// such run is in progress, for example between two items of a stream. Does not wait until the run has
  /// ended.
  /// GIL: acquires it, so the call may block while C code of a module holds it.
  bool cancel(RunId run);

  /// Cancels all runs in progress. Returns their number.
  /// GIL: as cancel().
  std::size_t cancel_all();

  /// Unloads a module: closes its instances, calls its `on_unload()`, and removes it from Python, together
  /// with the helper modules that no other loaded module uses. Unloading a package also unloads the modules
  /// inside it. Handles to an unloaded module throw HostClosed. The next load() imports it again.
  ///
  /// Does not wait for runs of the module on other threads: their instances are closed under them. Exceptions
  /// of `close()` and `on_unload()` are reported to on_error and on_event, and do not stop the unloading.
  /// Each of these calls may take up to Options::shutdown_timeout.
  ///
  /// Returns false if the module is not loaded.
  bool unload(std::string_view name);

  /// Returns a handle to the C++ functions that modules can call.
  HostServices services() const;

  /// Returns a handle to the queue of log records.
  HostLogs logs() const;

  /// Returns the locations and the version of the Python that runs the modules.
  const Environment& environment() const noexcept;

  /// Returns whether Ctrl-C has raised KeyboardInterrupt since the host was opened. See
  /// PythonOptions::interruptible.
  bool interrupted() const noexcept;

  /// Checks the named modules, or by default all modules in the module paths. Look::Read only reads their
  /// files. Look::Import also imports them.
  /// Throws: InvalidName, ModuleNotFound.
  Survey survey(const std::vector<std::string>& names = {}, Look look = Look::Read);

  /// Returns a hash that identifies the version of the modules: SHA-256, in hex, of the relative paths and
  /// contents of all .py files in the `modules` folders of the module paths. Nothing is imported.
  std::string code_hash();

  /// Returns the folder of pyhost's own Python files, which contains `modules` and `pyhost`. Returns an empty
  /// path if it cannot be found.
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
  // A host for the same modules in the current interpreter of this thread. It shares services, logs and
  // output with this one.
  std::unique_ptr<Host> in_this_interpreter() const;
  explicit Host(const Data& outer);

  std::unique_ptr<Data> data_;
};

}  // namespace pyhost
