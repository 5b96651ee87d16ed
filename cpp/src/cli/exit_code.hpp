// Exit codes, which are part of the program's interface, and how failures become exit codes.
#pragma once

#include <functional>
#include <string>

#include "pyhost/error.hpp"

namespace pyhost::cli {

class ResultStream;

enum ExitCode : int {
  ok = 0,
  module_raised = 1,
  usage = 2,
  not_loaded = 3,
  result_not_json = 4,
  not_started = 70,
  not_written = 74,
  timed_out = 124,
};

/// Returns the exit code for an error of this kind.
ExitCode exit_code(ErrorKind kind) noexcept;

/// Calls `work` and returns its result. If it throws an Error, a UsageError or an OutputError, prints that to
/// stderr and returns its exit code. `command` is named in a hint.
int exit_code_of(const std::string& command, const std::function<int()>& work);

/// Calls `work` and returns its result. If `json` and it throws an Error, writes that to the output as a JSON
/// document and returns its exit code.
int errors_as_json(bool json, ResultStream& output, const std::function<int()>& work);

}  // namespace pyhost::cli
