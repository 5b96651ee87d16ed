// How far a long command has come, on stderr: a bar on a terminal, else a line from time to time. Any thread
// may call it.
#pragma once

#include <chrono>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>

namespace pyhost::cli {

/// What is told of how far it has come.
struct Progressed {
  std::size_t done = 0;  ///< The failed ones too.
  std::size_t failed = 0;
  std::optional<double> part = {};  ///< Of all, from 0 to 1; nothing if nobody knows how many there are.
};

class Progress {
 public:
  /// Tells nothing at all if `quiet`.
  explicit Progress(bool quiet);
  ~Progress() { erase(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Counts the time from now on, not from its making.
  void begin();

  /// Shows it, unless it has just been shown.
  void show(const Progressed& now);

  /// Takes the bar away, so that something else can be written.
  void erase();

  /// Writes that in the place of the bar.
  void say(const std::string& line);

  double seconds() const;

 private:
  void erase_locked();
  std::string text(const Progressed& now, bool coloured) const;
  std::string bar(const Progressed& now, bool coloured) const;

  using Clock = std::chrono::steady_clock;
  bool quiet_;
  bool terminal_;
  bool colour_;
  std::mutex mutex_;
  bool shown_ = false;
  Clock::time_point begun_;
  Clock::time_point next_;
};

/// "3 states", "1 state", "12,345 states".
std::string counted(std::size_t count, const std::string& what);

}  // namespace pyhost::cli
