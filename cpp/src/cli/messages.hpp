// The messages that commands print to stderr about a host and its modules.
#pragma once

#include <atomic>
#include <mutex>
#include <vector>

#include "pyhost/error.hpp"

namespace pyhost {
struct Environment;
struct Options;
}  // namespace pyhost

namespace pyhost::cli {

/// Prints an error as text, in colour on a terminal.
void print_error(const Error& error, bool verbose);

/// Prints the warnings about the environment. If `verbose`, also prints which Python and virtual environment
/// are used. If `quiet`, prints nothing.
void print_environment(const Environment& environment, bool verbose, bool quiet);

/// Collects the errors that modules raise while they are closed, to print them after all other output. Must
/// outlive the host.
class CloseErrors {
 public:
  /// Sets Callbacks::on_error.
  void listen_to(Options& options);

  /// Starts to collect. Earlier errors are part of the outcomes of runs.
  void begin() noexcept { begun_ = true; }

  /// Prints the errors, except `printed`, which may be null. Returns whether it printed any.
  bool print(const Error* printed, bool verbose);

 private:
  std::atomic<bool> begun_ = false;
  std::mutex mutex_;
  std::vector<Error> errors_;
};

}  // namespace pyhost::cli
