// Log records on their way to a sink that may be slow: who logs never waits for it.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "pyhost/log.hpp"

namespace pyhost::detail {

/// A queue with an end, and a thread that gives what is in it to the sink. The thread begins with the first
/// record. Any thread may do anything here.
class LogQueue {
 public:
  using Sink = std::function<void(const LogRecord&)>;

  LogQueue(Sink sink, std::size_t room, std::chrono::milliseconds patience);

  ~LogQueue() { close(); }
  LogQueue(const LogQueue&) = delete;
  LogQueue& operator=(const LogQueue&) = delete;

  /// Drops the record if there is no room for it.
  void put(LogRecord record);

  /// Waits until the sink has had all that was put before, but no longer than that; says whether it has. Not
  /// so in the sink itself, which would wait for its own end.
  bool flush(std::chrono::milliseconds patience);

  /// Takes no more, and waits for the sink as long as its patience lasts. A sink that does not return by then
  /// is left to itself, and what it has not had is dropped. Says how many were dropped of which nobody was
  /// told: by no record that the sink had, and by no dropped().
  std::uint64_t close() noexcept;

  /// So many more were dropped on their way here.
  void add_dropped(std::uint64_t count);

  /// How many were dropped in all.
  std::uint64_t dropped();

 private:
  struct State;
  static void give_out(const std::shared_ptr<State>& state);
  bool is_forked() const noexcept { return process_ != getpid(); }

  std::shared_ptr<State> state_;
  std::chrono::milliseconds patience_;
  pid_t process_ = getpid();  // a fork has no threads
};

}  // namespace pyhost::detail
