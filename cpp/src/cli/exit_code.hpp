// How failures of a command become exit codes.
#pragma once

#include <functional>
#include <string>

#include "error/exit_code.hpp"

namespace pyhost::cli {

class ResultStream;

using detail::exit_code;
using enum detail::ExitCode;

/// Returns the exit code for an error that occurred while the module was loaded. Crashes and timeouts count
/// as failed loads.
int exit_code_of_load(const Error& error) noexcept;

/// Calls `work` and returns its result. If it throws an Error, a UsageError or an OutputError, prints the
/// error to stderr and returns its exit code. A hint refers to the help of `command`.
int exit_code_of(const std::string& command, const std::function<int()>& work);

/// Calls `work` and returns its result. If `json` is true and `work` throws an Error, writes the error to the
/// output as a JSON document and returns its exit code.
int errors_as_json(bool json, ResultStream& output, const std::function<int()>& work);

}  // namespace pyhost::cli
