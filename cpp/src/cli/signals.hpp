// Handles Ctrl-C and SIGTERM, for a command that lets its runs end first.
#pragma once

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

namespace pyhost::cli {

struct SignalOptions {
  std::vector<int> signals;                 ///< For example SIGINT.
  int max_count = 1;                        ///< How many signals are handled. The next one ends the process.
  std::function<void(int)> on_signal = {};  ///< Called with 1 for the first signal, 2 for the second.
  std::function<void()> before_exit = {};   ///< Called if the command does not end after the last signal.
};

/// Handles signals while it exists. Two seconds after the last one, the process ends by that signal, even if
/// the command is still waiting. Ignored signals stay ignored, as under nohup. The callbacks are called on a
/// separate thread. There must be only one object of this class at a time.
class Signals {
 public:
  explicit Signals(SignalOptions options);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// Returns the number of signals that have arrived.
  int count() const noexcept;

  /// Returns the signal that arrived last.
  int last() const noexcept;

 private:
  void watch();

  SignalOptions options_;
  std::vector<int> handled_;
  std::atomic<bool> ended_ = false;
  std::thread watching_;
};

/// Lets the process end by a signal after modules were unloaded and atexit handlers have run. python3 also
/// ends by a signal after Ctrl-C, so that a shell script that called it stops, too. Call
/// prepare_end_by_signal() before the host is opened.
void prepare_end_by_signal();
void end_by_signal(int signal);

}  // namespace pyhost::cli
