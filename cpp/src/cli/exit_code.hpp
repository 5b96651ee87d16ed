// How failures of a command become exit codes.
#pragma once

#include <functional>
#include <string>

#include "error/exit_code.hpp"

namespace pyhost::cli {

class ResultStream;

using detail::exit_code;
using enum detail::ExitCode;

/// Returns the exit code of a command whose module cannot be loaded. A crash and a timeout during the import
/// are of the module, too.
int exit_code_of_load(const Error& error) noexcept;

/// Calls `work` and returns its result. If it throws an Error, a UsageError or an OutputError, prints that to
/// stderr and returns its exit code. `command` is named in a hint.
int exit_code_of(const std::string& command, const std::function<int()>& work);

/// Calls `work` and returns its result. If `json` and it throws an Error, writes that to the output as a JSON
/// document and returns its exit code.
int errors_as_json(bool json, ResultStream& output, const std::function<int()>& work);

}  // namespace pyhost::cli
