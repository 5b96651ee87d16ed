// Ctrl-C and SIGTERM, for a command that lets runs come to an end before it ends itself.
#pragma once

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

namespace pyhost::cli {

/// How a command takes signals.
struct SignalsTaken {
  std::vector<int> which;                 ///< As SIGINT.
  int most = 1;                           ///< So many are taken; the next one ends the process.
  std::function<void(int)> heed = {};     ///< Told the number of each that is taken, from 1.
  std::function<void()> last_words = {};  ///< Called if the command has not ended after the last of them.
};

/// Takes signals for as long as it is there. Some time after the last of them, the process ends by it,
/// whatever the command waits for. What is ignored stays ignored, as under nohup. The functions are called on
/// a thread of its own. There is one at a time.
class Signals {
 public:
  explicit Signals(SignalsTaken how);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// How many have come.
  int count() const noexcept;

  /// Which one came last.
  int last() const noexcept;

 private:
  void watch();

  SignalsTaken how_;
  std::vector<int> taken_;
  std::atomic<bool> ended_ = false;
  std::thread watching_;
};

}  // namespace pyhost::cli
