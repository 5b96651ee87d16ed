// How a host is opened.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pyhost/error.hpp"
#include "pyhost/event.hpp"
#include "pyhost/installation.hpp"
#include "pyhost/log.hpp"
#include "pyhost/span.hpp"

namespace pyhost {

/// A piece of what Python code wrote to sys.stdout or sys.stderr: whole lines, except for the last of a run.
struct Output {
  enum class Stream { Stdout, Stderr };
  std::string_view module;  ///< The module that runs on the thread that wrote; empty if there is none.
  Stream stream;
  std::string_view text;  ///< In UTF-8; valid during the call.
};

/// Which Python is started, and how. It counts for the first host of a process. A later host that asks for
/// another Python is refused.
struct PythonOptions {
  /// The folder whose Python's standard library is used, of the version that pyhost was built for. If empty:
  /// that of the Python that pyhost was built with.
  std::filesystem::path home = {};

  /// The folder of pyhost's own Python files, which holds `modules` and `pyhost`. If empty: `share/pyhost`
  /// beside the folder of the program, or where find_package() has found pyhost, or where it was installed.
  std::filesystem::path python_modules = {};

  /// Whether PYTHONPATH, PYTHONHOME and CPython's other variables count, as they do for `python3`.
  bool use_environment = false;

  /// Whether Ctrl-C raises KeyboardInterrupt in the module that the main thread runs, as under `python3`.
  /// Without it, and wherever the application has a handler of its own, SIGINT stays the application's.
  bool interruptible = false;
};

/// What a host calls back. Each is called without the GIL, and by several threads at once unless it says
/// otherwise. Exceptions from a callback are ignored unless it says otherwise. A callback is not called for
/// runs that it makes itself.
struct Callbacks {
  /// Called with what Python code writes to sys.stdout and sys.stderr, instead of the process's own streams.
  /// The descriptors of both streams stay those of the process: child processes and C code write there.
  /// Throws: an exception is raised in the module as an OSError.
  /// Thread: the one that wrote, one call at a time.
  std::function<void(const Output&)> on_output = {};

  /// Called for every error of a module (ImportFailed, BadContract, ModuleRaised, InvalidResult, TimedOut,
  /// WorkerCrashed) before the caller gets it. It cannot change the error. A pool does
  /// not report a result that does not fit the C++ type which it is read as.
  /// Thread: the one that made the run.
  std::function<void(const Error&)> on_error = {};

  /// Called for what happens to modules and their runs.
  /// Thread: the one on which it happens.
  std::function<void(const Event&)> on_event = {};

  /// Called for each span of time that a run spends in a step, as it ends. Without it, nothing is timed.
  /// Thread: the one on which it ends. For a run of a pool it may be called later, but before the pool is gone.
  std::function<void(const Span&)> on_span = {};

  /// Called for a `close()` or an `on_unload()` that goes on after shutdown_timeout, because it is stuck in C
  /// code or catches every stop. It is waited for, since only the end of its process can end it. Without it,
  /// a message goes to stderr.
  /// Thread: one of pyhost's.
  std::function<void(const Error&)> on_stuck = {};
};

/// What happens to the records of Python's `logging`.
struct LoggingOptions {
  /// Called with the records of modules, one after the other. Modules never wait for it. Exceptions from it
  /// are ignored. ~Host waits until it has received all records, but no longer than shutdown_timeout. Without
  /// it, `logging` does what it does under `python3`.
  /// Thread: one of pyhost's, without the GIL.
  std::function<void(const LogRecord&)> on_log = {};

  /// The lowest level. It replaces the level of Python's root logger. Levels that modules set on other
  /// loggers hold.
  LogLevel level = LogLevel::Warning;

  /// How many records may wait for on_log. While the queue is full, new ones are dropped and counted.
  std::size_t queue_size = 10'000;
};

/// How a host is opened. Every member has a default.
struct Options {
  /// Folders that hold a `modules` folder; the first that has a name wins. If empty: `./python_modules`,
  /// then `.`, each if it holds `modules`, then the modules that were installed with pyhost.
  std::vector<std::filesystem::path> module_paths = {};

  /// A virtual environment, whose packages the modules may import. If empty: the one that VIRTUAL_ENV names,
  /// otherwise `.venv` in or beside a module path, otherwise the one that the program is installed in. One
  /// that is named here and cannot be used is refused; one that was found causes a warning and is not used.
  /// It counts for the first host of a process, as PythonOptions do.
  std::filesystem::path venv = {};

  PythonOptions python = {};
  Callbacks callbacks = {};

  /// What `pyhost.connection(name)` opens for a module: a URL for each name. `sqlite:///file` is opened by
  /// Python's own sqlite3, `https://host/base` by httpx, and every other one by SQLAlchemy; both come from
  /// the modules' environment. `${NAME}` stands for a variable of the environment when the connection is
  /// opened, so that a secret needs to stand nowhere else, and `$${` for `${`. Errors and log records show no
  /// passwords, and no values of such variables that have 8 characters or more. Connections are closed with
  /// the host.
  std::map<std::string, std::string> connections = {};

  /// The SQLite file of `pyhost.store`, the dict of JSON values that a module finds again in its next run. It
  /// is created if it does not exist; its folder must exist. If empty, there is no store.
  std::filesystem::path store = {};

  LoggingOptions logging = {};

  /// How long each `close()` and `on_unload()` of a module may take when it is unloaded, and how long the end
  /// of the process waits for the threads and atexit handlers that modules left behind.
  std::chrono::milliseconds shutdown_timeout = std::chrono::seconds(5);
};

}  // namespace pyhost
