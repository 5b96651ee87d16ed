// Failures of the program for which pyhost::Error has no kind.
#pragma once

#include <stdexcept>

namespace pyhost::cli {

/// The caller made a mistake: a wrong option, or a file that cannot be used. Exit code 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The project file has a mistake. The message begins with the file and the line. Exit code 2.
struct ConfigurationError : UsageError {
  using UsageError::UsageError;
};

/// The command could not write its output. Exit code 74.
struct OutputError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace pyhost::cli
