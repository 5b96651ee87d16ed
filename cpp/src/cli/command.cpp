// What the commands have in common.
#include "cli/command.hpp"

#include <unistd.h>
#include <CLI/CLI.hpp>
#include <charconv>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <sstream>

#include "cli/configuration.hpp"
#include "cli/terminal.hpp"

namespace pyhost::cli {

std::optional<std::chrono::milliseconds> duration(const std::string& text) {
  const std::size_t end = text.find_last_of("0123456789.");
  const std::string unit = end == std::string::npos ? text : text.substr(end + 1);
  const double factor = unit == "ms"                  ? 1
                        : unit == "s" || unit.empty() ? 1000
                        : unit == "m"                 ? 60'000
                        : unit == "h"                 ? 3'600'000
                                                      : 0;
  std::size_t read = 0;
  double number = 0;
  try {
    number = std::stod(text, &read);
  } catch (const std::exception&) {
    return std::nullopt;
  }
  constexpr double longest = 1e12;  // 30 years
  if (factor == 0 || read + unit.size() != text.size() || !(number >= 0 && number * factor <= longest)) {
    return std::nullopt;
  }
  return std::chrono::milliseconds(std::llround(number * factor));
}

namespace {

// "512M" and the like; without a unit it is bytes.
std::optional<std::size_t> size_of(const std::string& text) {
  std::size_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string unit(end, text.data() + text.size());
  const int shift = unit.empty() ? 0 : unit == "K" ? 10 : unit == "M" ? 20 : unit == "G" ? 30 : -1;
  if (failed != std::errc() || shift < 0 || number == 0 || number > (SIZE_MAX >> shift)) return std::nullopt;
  return number << shift;
}

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
  } catch (const BadFile& wrong) {
    std::cerr << "error: " << wrong.what()
              << "\nhint: there may be module_paths, venv, store, log.level, log.format, connections.NAME, "
                 "modules.NAME.state and modules.NAME.timeout\n";
    return usage;
  } catch (const Usage& wrong) {
    std::cerr << "error: " << wrong.what() << "\nhint: see `pyhost " << command << " -h`\n";
    return usage;
  } catch (const NotWritten& failed) {
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
  const std::optional<std::chrono::milliseconds> timeout = duration(given);
  if (timeout) return timeout;
  throw Usage("--timeout takes a time like 30s, 500ms, 2m or 1h, and got '" + given + "'");
}

std::size_t memory_limit_of(const std::string& given) {
  if (given.empty()) return 0;
  if (const auto limit = size_of(given)) return *limit;
  throw Usage("--memory-limit takes a size like 512M or 2G, and got '" + given + "'");
}

void prepare_end_by_signal() { std::atexit(end_by_last_signal); }

void end_by_signal(int signal) { last_signal = signal; }

}  // namespace pyhost::cli
