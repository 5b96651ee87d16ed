// What commands print to stderr about a host and its modules.
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

/// Prints an error for people, in colour on a terminal.
void print_error(const Error& error, bool verbose);

/// Prints the warnings about the environment unless `quiet`, and if `verbose` also which Python it is.
void print_environment(const Environment& environment, bool verbose, bool quiet);

/// Collects the errors that modules raise while they are closed, which may be after everything else is
/// printed. Must outlive the host.
class CloseErrors {
 public:
  /// Sets Callbacks::on_error.
  void listen_to(Options& options);

  /// Starts to collect. The errors before belong to runs, whose results have them.
  void begin() noexcept { begun_ = true; }

  /// Prints all but `printed`, which may be null. Returns whether it printed any.
  bool print(const Error* printed, bool verbose);

 private:
  std::atomic<bool> begun_ = false;
  std::mutex mutex_;
  std::vector<Error> errors_;
};

}  // namespace pyhost::cli
