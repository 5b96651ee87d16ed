// The options of a host.
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

/// A piece of output that Python code wrote to sys.stdout or sys.stderr. It consists of whole lines, except
/// for the last piece of a run.
/// Ownership: valid only during the callback.
struct Output {
  /// A standard stream.
  enum class Stream {
    Stdout,  ///< `sys.stdout`
    Stderr,  ///< `sys.stderr`
  };
  std::string_view module;  ///< The module that runs on the thread that wrote, or empty.
  Stream stream;            ///< The stream to which it was written.
  std::string_view text;    ///< The text, in UTF-8.
};

/// The Python that a host starts. The first host of a process determines it. A later host that requires a
/// different Python throws StartupFailed.
struct PythonOptions {
  /// The installation folder of the Python whose standard library is used, like PYTHONHOME. It must have the
  /// version for which pyhost was built.
  /// Default: that of the Python with which pyhost was built.
  std::filesystem::path home = {};

  /// The folder of pyhost's own Python files, which contains `modules` and `pyhost`.
  /// Default: `../share/pyhost/python_modules` next to the program's folder; otherwise where find_package()
  /// has found pyhost; otherwise where pyhost was installed.
  std::filesystem::path python_modules = {};

  /// Whether PYTHONPATH, PYTHONHOME and CPython's other environment variables have an effect, as in
  /// `python3`.
  bool use_environment = false;

  /// Whether Ctrl-C raises KeyboardInterrupt in a module that runs on the main thread, as in `python3`. It
  /// does not if the application has its own SIGINT handler.
  bool interruptible = false;
};

/// The callbacks of a host. All are optional.
///
/// Unless a callback says otherwise: exceptions from it are ignored, and it is called without the GIL,
/// possibly by several threads at once. A callback may run modules. It is not called for these runs.
struct Callbacks {
  /// Called with the output that Python code writes to sys.stdout and sys.stderr. That output then does not
  /// go to the streams of the process. Output of child processes and C code still does.
  /// Throws: an exception from it is raised in the module as an OSError.
  /// Thread: the thread that writes, one call at a time.
  std::function<void(const Output&)> on_output = {};

  /// Called for every module error (ImportFailed, BadContract, ModuleRaised, InvalidResult, TimedOut,
  /// WorkerCrashed) before the caller sees it. It cannot change the error. In a pool, it is not called for
  /// results that do not fit the C++ type that the caller requested.
  /// Thread: the thread that made the run.
  std::function<void(const Error&)> on_error = {};

  /// Called for every event of a module or a run.
  /// Thread: the thread on which it happens.
  std::function<void(const Event&)> on_event = {};

  /// Called at the end of each step of a run, with its duration. If it is not set, nothing is timed.
  /// Thread: the thread on which the step ends. For runs of a pool it may be called later, but before the
  /// pool is destroyed.
  std::function<void(const Span&)> on_span = {};

  /// Called once for each `close()` or `on_unload()` that does not end within Options::shutdown_timeout,
  /// because it is stuck in C code or catches every exception that should stop it. The host still waits for
  /// it, because only the end of the process can stop it.
  /// Default: a message on stderr.
  /// Thread: an internal thread.
  std::function<void(const Error&)> on_stuck = {};
};

/// The handling of log records from Python's `logging`.
struct LoggingOptions {
  /// Called with each log record of a module, one at a time. Modules do not wait for it. Exceptions from it
  /// are ignored. ~Host waits until it has received all records, but no longer than
  /// Options::shutdown_timeout.
  /// Default: none; `logging` then behaves as in `python3`.
  /// Thread: an internal thread, without the GIL.
  std::function<void(const LogRecord&)> on_log = {};

  /// The level of Python's root logger. Levels that modules set on other loggers are respected. Only used
  /// with on_log.
  LogLevel level = LogLevel::Warning;

  /// The largest number of records that wait for on_log. While the queue is full, new records are dropped.
  std::size_t queue_size = 10'000;
};

/// The options of a host. Every member has a default.
struct Options {
  /// Folders that contain a `modules` folder. If several contain a module of the same name, the first one is
  /// used.
  /// Default: `./python_modules` and `.`, if they contain `modules`, then the modules installed with pyhost.
  std::vector<std::filesystem::path> module_paths = {};

  /// The virtual environment whose packages modules can import. If it cannot be used, the host throws
  /// StartupFailed. As with PythonOptions, the first host of a process determines it.
  /// Default: the one in VIRTUAL_ENV; otherwise `.venv` in or next to a module path; otherwise the one in
  /// which the program is installed. One of these that cannot be used is skipped with a warning in
  /// Environment::warnings.
  std::filesystem::path venv = {};

  /// The Python to start.
  PythonOptions python = {};

  /// The callbacks of the host.
  Callbacks callbacks = {};

  /// The URLs that `pyhost.connection(name)` opens for modules, by name. `sqlite:///file` is opened with
  /// Python's sqlite3, `https://host/base` with httpx, and all others with SQLAlchemy. httpx and SQLAlchemy
  /// must be installed in the modules' environment. Connections are closed with the host.
  ///
  /// `${NAME}` is replaced by the environment variable when the connection is opened, and `$${` by `${`.
  /// Passwords, and values of such variables with 8 or more characters, are masked in errors and log records.
  std::map<std::string, std::string> connections = {};

  /// The SQLite file of `pyhost.store`, in which modules keep JSON values from one run to the next. It is
  /// created if it does not exist. Its folder must exist.
  /// Default: no store.
  std::filesystem::path store = {};

  /// The handling of log records.
  LoggingOptions logging = {};

  /// The timeout of each `close()` and `on_unload()` when a module is unloaded. Also how long the end of the
  /// process waits for threads and atexit handlers of modules.
  std::chrono::milliseconds shutdown_timeout = std::chrono::seconds(5);
};

}  // namespace pyhost
