// What the commands have in common: exit codes, which are API, and one function a command.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>

#include "pyhost/error.hpp"

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

/// Adds `pyhost run` to the program; its callback writes the exit code to `code`.
void add_run(CLI::App& program, int& code);

}  // namespace pyhost::cli
