// A queue of log records for a sink that may be slow: a thread that logs never waits for it.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "pyhost/log.hpp"

namespace pyhost::detail {

/// A bounded queue, and a thread that passes its records to the sink. The thread starts with the first
/// record. Any thread may call any function.
class LogQueue {
 public:
  using Sink = std::function<void(const LogRecord&)>;

  LogQueue(Sink sink, std::size_t room, std::chrono::milliseconds patience);

  ~LogQueue() { close(); }
  LogQueue(const LogQueue&) = delete;
  LogQueue& operator=(const LogQueue&) = delete;

  /// Drops the record if there is no room for it.
  void put(LogRecord record);

  /// Waits until the sink has had all records that were put before, but no longer than `patience`. Returns
  /// whether it has. Does not wait when called by the sink itself.
  bool flush(std::chrono::milliseconds patience);

  /// Takes no more, and waits for the sink within the patience. The records of a sink that does not return by
  /// then are dropped. Returns how many were dropped that neither a record nor dropped() has reported.
  std::uint64_t close() noexcept;

  /// Counts records that were dropped before they came here.
  void add_dropped(std::uint64_t count);

  /// Returns how many were dropped in all.
  std::uint64_t dropped();

 private:
  struct State;
  bool has_thread();
  static void give_out(const std::shared_ptr<State>& state);
  bool is_forked() const noexcept { return process_ != getpid(); }

  std::shared_ptr<State> state_;
  std::chrono::milliseconds patience_;
  pid_t process_ = getpid();  // a fork has no threads
};

}  // namespace pyhost::detail
