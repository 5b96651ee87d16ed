// Ctrl-C and SIGTERM, for a command that lets its runs end first.
#pragma once

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

namespace pyhost::cli {

struct SignalOptions {
  std::vector<int> signals;                 ///< For example SIGINT.
  int max_count = 1;                        ///< How many are handled. The next one ends the process.
  std::function<void(int)> on_signal = {};  ///< Called with 1 for the first signal, 2 for the second.
  std::function<void()> before_exit = {};   ///< Called if the command goes on after the last signal.
};

/// Handles signals while it exists. Two seconds after the last one the process ends by it, whatever the
/// command waits for. Signals that are ignored stay ignored, as under nohup. The callbacks run on a thread of
/// its own. There must be only one object at a time.
class Signals {
 public:
  explicit Signals(SignalOptions options);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// Returns how many signals arrived.
  int count() const noexcept;

  /// Returns which one arrived last.
  int last() const noexcept;

 private:
  void watch();

  SignalOptions options_;
  std::vector<int> handled_;
  std::atomic<bool> ended_ = false;
  std::thread watching_;
};

/// Lets the process end by a signal, as python3 does after Ctrl-C, so that a shell script around it stops,
/// too. prepare_end_by_signal() must be called before the host is opened: the process ends by the signal only
/// after modules were unloaded and atexit handlers have run.
void prepare_end_by_signal();
void end_by_signal(int signal);

}  // namespace pyhost::cli
