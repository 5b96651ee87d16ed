// What the commands have in common: exit codes, which are API, the flags that open a host, and one function
// a command.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "pyhost/error.hpp"
#include "pyhost/options.hpp"

namespace pyhost::cli {

enum ExitCode : int {
  ok = 0,
  module_raised = 1,
  usage = 2,
  not_loaded = 3,
  result_not_json = 4,
  not_started = 70,
  not_written = 74,
};

/// The exit code that an error of this kind has.
ExitCode exit_code(ErrorKind kind) noexcept;

/// What says how a host is opened.
struct HostArguments {
  std::vector<std::string> module_paths;
  std::string venv;
  bool use_environment = false;
  double shutdown_timeout = 5;
};

/// Adds the flags that open a host to a command.
void add_host_arguments(CLI::App& command, HostArguments& arguments);

/// The options that they come to, with PYHOST_MODULE_PATH for module paths that are not given.
Options options_from(const HostArguments& arguments);

/// Adds a command to the program; its callback writes the exit code to `code`.
void add_run(CLI::App& program, int& code);
void add_doctor(CLI::App& program, int& code);

}  // namespace pyhost::cli
