// A queue of log records for a sink that may be slow. A thread that logs never waits for the sink.
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

  /// Waits until the sink has processed all records that were put before, but no longer than `patience`.
  /// Returns whether it has. Does not wait when called by the sink itself.
  bool flush(std::chrono::milliseconds patience);

  /// Accepts no more records, and waits for the sink, at most for the patience. If the sink does not return
  /// by then, the remaining records are dropped. Returns the number of dropped records that neither a record
  /// nor dropped() has reported.
  std::uint64_t close() noexcept;

  /// Adds records that were dropped before they reached this queue.
  void add_dropped(std::uint64_t count);

  /// Returns the number of all dropped records.
  std::uint64_t dropped();

 private:
  struct State;
  bool has_thread();
  static void deliver_records(const std::shared_ptr<State>& state);
  bool is_forked() const noexcept { return process_ != getpid(); }

  std::shared_ptr<State> state_;
  std::chrono::milliseconds patience_;
  pid_t process_ = getpid();  // a forked child does not have the thread
};

}  // namespace pyhost::detail
