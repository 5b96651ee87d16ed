// Timers: one thread that waits, and calls functions at their time.
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

/// The longest time that can be waited for: the clock overflows after 292 years.
inline constexpr std::chrono::milliseconds max_wait = std::chrono::hours(24) * 36500;

/// Limits a time to what can be waited for; a negative one becomes zero.
inline std::chrono::milliseconds clamp_wait(std::chrono::milliseconds time) {
  return std::clamp(time, std::chrono::milliseconds(0), max_wait);
}

/// Calls functions at their time, one after the other, on a thread of its own, which begins with the first.
class Timers {
 public:
  using Clock = std::chrono::steady_clock;
  /// Returns when to call it again, if at all. Must not throw.
  using Callback = std::function<std::optional<Clock::time_point>()>;
  using Id = std::uint64_t;

  Timers() = default;
  /// Waits until no callback runs any more.
  ~Timers();
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;

  /// The timers whose callbacks may wait for the GIL. These and the next are never destroyed: a callback may
  /// run while the process ends.
  static Timers& with_gil();
  /// The timers whose callbacks never wait for the GIL: they are called on time even if C code does not
  /// release it.
  static Timers& without_gil();

  /// Throws StartupFailed if no thread can be started.
  Id set(Clock::time_point when, Callback callback);

  /// The callback may still be running when this returns.
  void remove(Id id) noexcept;

 private:
  struct Timer {
    Id id;
    Callback callback;
  };
  void begin();
  void watch();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<Clock::time_point, Timer> timers_;
  Id last_ = 0;
  Id running_ = 0;  // whose callback runs; 0 if that timer was removed
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace pyhost::detail
