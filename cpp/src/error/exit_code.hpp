// The exit codes of the program, which are part of its interface, and the exit code of each error.
#pragma once

#include "pyhost/error.hpp"

namespace pyhost::detail {

enum ExitCode : int {
  ok = 0,
  module_raised = 1,
  usage = 2,
  not_loaded = 3,
  result_not_json = 4,
  not_started = 70,
  not_written = 74,
  try_later = 75,
  timed_out = 124,
};

/// Returns the exit code for an error of this kind.
ExitCode exit_code(ErrorKind kind) noexcept;

/// Returns the exit code of `pyhost run` for this error: 128+n if signal n ended the worker process.
int exit_code(const Error& error) noexcept;

}  // namespace pyhost::detail
