// What the commands have in common.
#include "cli/command.hpp"

#include <unistd.h>
#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <sstream>

#include "cli/configuration.hpp"
#include "cli/errors.hpp"
#include "cli/terminal.hpp"
#include "cli/units.hpp"

namespace pyhost::cli {

namespace {

// Atexit functions run in the reverse of their order here.
volatile std::sig_atomic_t last_signal = 0;

void end_by_last_signal() {
  if (last_signal == 0) return;
  std::signal(last_signal, SIG_DFL);
  std::raise(last_signal);
}

}  // namespace

ExitCode exit_code(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::ModuleRaised:
    case ErrorKind::WorkerCrashed:
      return module_raised;
    case ErrorKind::InvalidName:
    case ErrorKind::InvalidState:
      return usage;
    case ErrorKind::ModuleNotFound:
    case ErrorKind::ImportFailed:
    case ErrorKind::BadContract:
      return not_loaded;
    case ErrorKind::InvalidResult:
      return result_not_json;
    case ErrorKind::TimedOut:
    case ErrorKind::Cancelled:
      return timed_out;
    case ErrorKind::StartupFailed:
    case ErrorKind::HostClosed:
      break;
  }
  return not_started;
}

int exit_code_of(const std::string& command, const std::function<int()>& work) {
  try {
    return work();
  } catch (const Error& error) {
    std::cerr << "error: " << error.rendered();
    return exit_code(error.kind());
  } catch (const ConfigurationError& wrong) {
    std::cerr << "error: " << wrong.what()
              << "\nhint: there may be module_paths, venv, store, log.level, log.format, connections.NAME, "
                 "modules.NAME.state and modules.NAME.timeout\n";
    return usage;
  } catch (const UsageError& wrong) {
    std::cerr << "error: " << wrong.what() << "\nhint: see `pyhost " << command << " -h`\n";
    return usage;
  } catch (const OutputError& failed) {
    std::cerr << "error: " << failed.what() << "\n";
    return not_written;
  }
}

void add_module_paths(CLI::App& command, HostArguments& arguments) {
  command
      .add_option("-m,--module-path", arguments.module_paths,
                  "A folder that holds modules/; may be repeated (Env:PYHOST_MODULE_PATH, with : between)")
      ->allow_extra_args(false);
}

void add_host_arguments(CLI::App& command, HostArguments& arguments) {
  add_module_paths(command, arguments);
  command
      .add_option(
          "--venv", arguments.venv,
          "A virtual environment to import packages from; else VIRTUAL_ENV, else .venv by the modules")
      ->envname("PYHOST_VENV");
  command
      .add_flag("--use-environment", arguments.use_environment,
                "Heed PYTHONPATH, PYTHONHOME and Python's other variables")
      ->envname("PYHOST_USE_ENVIRONMENT");
  command
      .add_option("--store", arguments.store,
                  "The SQLite file in which pyhost.store lasts; made if it is not there")
      ->envname("PYHOST_STORE");
  command
      .add_option("--shutdown-timeout", arguments.shutdown_timeout,
                  "Seconds that the end waits for threads and atexit handlers of modules (5)")
      ->check(CLI::Range(0.0, 1e6))
      ->envname("PYHOST_SHUTDOWN_TIMEOUT");
}

Options options_from(const HostArguments& arguments) { return options_from(arguments, configuration()); }

Options options_from(const HostArguments& arguments, const Configuration& file) {
  Options options;
  options.venv = arguments.venv.empty() ? file.venv : arguments.venv;
  options.store = arguments.store.empty() ? file.store : arguments.store;
  options.connections = file.connections;
  options.use_environment = arguments.use_environment;
  options.shutdown_timeout = std::chrono::milliseconds(std::llround(arguments.shutdown_timeout * 1000));
  options.module_paths.assign(arguments.module_paths.begin(), arguments.module_paths.end());
  const char* variable = std::getenv("PYHOST_MODULE_PATH");
  if (!options.module_paths.empty()) return options;
  std::istringstream paths(variable != nullptr ? variable : "");
  for (std::string path; std::getline(paths, path, ':');) {
    if (!path.empty()) options.module_paths.emplace_back(path);
  }
  if (options.module_paths.empty())
    options.module_paths.assign(file.module_paths.begin(), file.module_paths.end());
  return options;
}

void say_environment(const Environment& environment, bool verbose, bool quiet) {
  if (quiet) return;
  for (const std::string& warning : environment.warnings) std::cerr << "warning: " << warning << "\n";
  if (!verbose) return;
  if (const auto& file = configuration().file; !file.empty()) {
    std::cerr << "pyhost: configuration: " << file.string() << "\n";
  }
  std::cerr << "pyhost: Python " << environment.version << " from " << environment.library.string() << "\n"
            << "pyhost: virtual environment: "
            << (environment.venv.empty() ? "none"
                                         : environment.venv.string() + " (" + environment.venv_source + ")")
            << "\n";
}

void print(const Error& error, bool verbose) {
  const bool colour = colour_wanted(STDERR_FILENO);
  std::cerr << (colour ? "\x1b[1;31merror:\x1b[0m " : "error: ")
            << error.rendered({.colour = colour, .verbose = verbose});
}

void CloseErrors::listen_to(Options& options) {
  options.on_error = [this](const Error& error) {
    if (!begun_ || error.phase() != Phase::Close) return;
    const std::lock_guard lock(mutex_);
    errors_.push_back(error);
  };
}

bool CloseErrors::print(const Error* told, bool verbose) {
  const std::lock_guard lock(mutex_);
  const auto is_told = [&](const Error& error) {
    return told != nullptr && error.to_json() == told->to_json();
  };
  std::erase_if(errors_, is_told);
  for (const Error& error : errors_) cli::print(error, verbose);
  return !errors_.empty();
}

std::optional<std::chrono::milliseconds> timeout_of(const std::string& module, const std::string& given) {
  if (given.empty()) return configuration().of(module).timeout;
  const std::optional<std::chrono::milliseconds> timeout = parse_duration(given);
  if (timeout) return timeout;
  throw UsageError("--timeout takes a time like 30s, 500ms, 2m or 1h, and got '" + given + "'");
}

std::size_t memory_limit_of(const std::string& given) {
  if (given.empty()) return 0;
  if (const auto limit = parse_size(given)) return *limit;
  throw UsageError("--memory-limit takes a size like 512M or 2G, and got '" + given + "'");
}

void prepare_end_by_signal() { std::atexit(end_by_last_signal); }

void end_by_signal(int signal) { last_signal = signal; }

}  // namespace pyhost::cli
