// The progress of a long command on stderr: a bar on a terminal, otherwise a new line every few seconds.
#pragma once

#include <chrono>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>

#include "cli/status_line.hpp"

namespace pyhost::cli {

struct ProgressState {
  std::size_t done = 0;  ///< Including the failed ones.
  std::size_t failed = 0;
  std::optional<double> fraction = {};  ///< How much of all is done, from 0 to 1; nothing if unknown.
};

/// Thread: any.
class Progress {
 public:
  /// Shows no progress if `quiet`.
  explicit Progress(bool quiet);
  /// Restarts the clock.
  void begin();

  /// Shows the progress, unless it was shown a moment ago.
  void show(const ProgressState& now);

  /// Removes the bar, so that other text can be printed.
  void erase() { line_.erase(); }

  /// Prints a line above the bar, even if `quiet`.
  void print_line(const std::string& line) { line_.print(line + "\n"); }

  /// Lets the host print the modules' output above the bar.
  void listen_to(Options& options) {
    if (!quiet_) line_.listen_to(options);
  }

  /// Returns the status line that shows the bar.
  StatusLine& line() noexcept { return line_; }

  /// Returns the seconds since begin().
  double seconds() const;

 private:
  std::string text(const ProgressState& now, bool coloured) const;
  std::string bar(const ProgressState& now, bool coloured) const;

  using Clock = std::chrono::steady_clock;
  bool quiet_;
  bool colour_;
  StatusLine line_;
  std::mutex mutex_;
  Clock::time_point begun_;
  Clock::time_point next_;
};

}  // namespace pyhost::cli
