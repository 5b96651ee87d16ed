// Timers: one thread that waits, and calls back when it is time.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace pyhost::detail {

/// A time that is waited for is no longer than this: the clock ends after 292 years.
inline constexpr std::chrono::milliseconds max_wait = std::chrono::hours(24) * 36500;

/// The time as it can be waited for, which is none if it is over already.
inline std::chrono::milliseconds clamp_wait(std::chrono::milliseconds time) {
  return std::clamp(time, std::chrono::milliseconds(0), max_wait);
}

/// Calls functions at their time, one after the other, on a thread of its own, which begins with the first.
class Timers {
 public:
  using Clock = std::chrono::steady_clock;
  /// Gives when to ring again, if at all. Must not throw.
  using Callback = std::function<std::optional<Clock::time_point>()>;
  using Id = std::uint64_t;

  Timers() = default;
  /// Returns when none rings any more.
  ~Timers();
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;

  /// Those that may wait for the GIL when they ring. These and the next are never destroyed: what rings at
  /// the end of the process has to cope with that.
  static Timers& with_gil();
  /// Those that never do: they ring on time even if C code does not let the GIL go.
  static Timers& without_gil();

  /// Throws std::system_error if no thread can be had.
  Id set(Clock::time_point when, Callback ring);

  /// The timer may still be ringing when this returns.
  void remove(Id id) noexcept;

 private:
  struct Timer {
    Id id;
    Callback ring;
  };
  void begin();
  void watch();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<Clock::time_point, Timer> timers_;
  Id last_ = 0;
  Id ringing_ = 0;  // 0 if it is to ring no more
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace pyhost::detail
