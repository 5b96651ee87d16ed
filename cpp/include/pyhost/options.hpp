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

/// A piece of what Python code wrote to sys.stdout or sys.stderr: whole lines, but for the last of a run.
struct Output {
  enum class Stream { Stdout, Stderr };
  std::string_view module;  ///< The module that runs on the thread that wrote; empty if it is none.
  Stream stream;
  std::string_view text;  ///< In UTF-8; valid during the call.
};

/// How a host is opened. Every member has a default. What concerns the start of CPython (the venv, the
/// home, the environment) counts for the first host of a process; a later one that asks for another is
/// refused.
struct Options {
  /// Folders that hold a `modules` folder; the first that has a name wins. If empty: `./python_modules`,
  /// then `.`, each if it holds `modules`, then the modules that were installed with pyhost.
  std::vector<std::filesystem::path> module_paths = {};

  /// A virtual environment, whose packages the modules may import. If empty: the one that VIRTUAL_ENV
  /// names, else `.venv` in or beside a module path, else the one that the program is installed in. One that
  /// is named here and cannot be used is refused; one that was merely found is warned about and passed over.
  std::filesystem::path venv = {};

  /// The folder whose Python's standard library is used, of the version that pyhost was built for. If
  /// empty: the Python that it was built with.
  std::filesystem::path home = {};

  /// The folder of pyhost's own Python files, which holds `modules` and `pyhost`. If empty: `share/pyhost`
  /// beside the folder of the program, or where find_package() has found pyhost, or where it was to be
  /// installed.
  std::filesystem::path python_modules = {};

  /// Whether PYTHONPATH, PYTHONHOME and CPython's other variables count, as they do for `python3`.
  bool use_environment = false;

  /// Whether Ctrl-C raises KeyboardInterrupt in the module that the main thread runs, as under `python3`.
  /// Without it, and wherever the application has a handler of its own, SIGINT stays the application's.
  bool interruptible = false;

  /// Gets what Python code writes to sys.stdout and sys.stderr, instead of the process's own streams; is
  /// called on the thread that wrote, without the GIL, one call at a time. What it throws is raised in the
  /// module as an OSError. The descriptors of both streams stay those of the process: what child processes
  /// and C code write goes there.
  std::function<void(const Output&)> on_output = {};

  /// Sees every error that comes out of a module (ImportFailed, BadContract, ModuleRaised, InvalidResult,
  /// TimedOut, WorkerCrashed) before the caller does, on the thread that made the run, without the GIL;
  /// several threads may call it at once. It cannot change the error; what it throws is dropped, and errors
  /// of what it runs itself are not told.
  std::function<void(const Error&)> on_error = {};

  /// Sees what happens to modules and their runs, on the thread where it happens and without the GIL; several
  /// threads may call it at once. What it throws is dropped, and events of what it runs itself are not told.
  std::function<void(const Event&)> on_event = {};

  /// Sees where the time of runs goes: each span as it ends, on the thread where that is and without the GIL,
  /// or for a run of a pool some time later, and at the latest when the pool is gone; several threads may
  /// call it at once. What it throws is dropped, and spans of what it runs itself are not told. Without it,
  /// nothing is timed.
  std::function<void(const Span&)> on_span = {};

  /// What `pyhost.connection(name)` opens for a module: an URL for each name. `sqlite:///file` is opened by
  /// Python's own sqlite3, `https://host/base` by httpx, and any other one by SQLAlchemy; both are taken from
  /// the modules' environment. `${NAME}` stands for a variable of the environment when it is opened, so that
  /// a secret needs to stand nowhere else, and `$${` for a `${`. No error of the opening shows passwords, or
  /// what variables put before the `@`, after the host of an http URL or into parameters; nor does an error
  /// or a log record of a module, if they have 8 characters or more. They are closed with the host.
  std::map<std::string, std::string> connections = {};

  /// The SQLite file of `pyhost.store`, the dict of JSON values that a module finds again in its next run;
  /// made if it is not there, but its folder has to be. If empty, there is no store.
  std::filesystem::path store = {};

  /// Gets what modules log by Python's `logging`, one record after the other, on a thread of its own and
  /// without the GIL; what it throws is dropped. Modules never wait for it: there is room for `log_queue`
  /// records, and what comes while that is full is dropped and counted. ~Host waits until it has had all, but
  /// no longer than `shutdown_timeout`. Without it, `logging` does what it does under `python3`.
  std::function<void(const LogRecord&)> on_log = {};

  /// From which level on; it stands in for the level of Python's root logger. Levels that modules set on
  /// other loggers hold.
  LogLevel log_level = LogLevel::Warning;
  std::size_t log_queue = 10'000;

  /// How long each `close()` and `on_unload()` of a module may take when it is unloaded, and how long the end
  /// of the process waits for the threads and atexit handlers that modules left behind.
  std::chrono::milliseconds shutdown_timeout = std::chrono::seconds(5);

  /// Is told of a `close()` or an `on_unload()` that goes on after that, because it is stuck in C code or
  /// catches every stop: it is waited for, since what is stuck there can only be ended with its process. Is
  /// called on a thread of pyhost's, without the GIL. Without it, stderr is told.
  std::function<void(const Error&)> on_stuck = {};
};

}  // namespace pyhost
