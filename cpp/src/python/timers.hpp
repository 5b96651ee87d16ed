// Timers: one thread that calls functions when they are due.
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

/// The longest possible wait: the clock overflows after 292 years.
inline constexpr std::chrono::milliseconds max_wait = std::chrono::hours(24) * 36500;

/// Limits a duration to [0, max_wait].
inline std::chrono::milliseconds clamp_wait(std::chrono::milliseconds time) {
  return std::clamp(time, std::chrono::milliseconds(0), max_wait);
}

/// Calls functions when they are due, one after the other, on its own thread. The thread starts with the
/// first timer.
class Timers {
 public:
  using Clock = std::chrono::steady_clock;
  /// Returns when to call it again, or nothing. Must not throw.
  using Callback = std::function<std::optional<Clock::time_point>()>;
  using Id = std::uint64_t;

  Timers() = default;
  /// Waits for a running callback.
  ~Timers();
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;

  /// For callbacks that may wait for the GIL. These timers and those of without_gil() are never destroyed,
  /// because a callback may run while the process ends.
  static Timers& with_gil();
  /// For callbacks that never wait for the GIL. They are called on time even if C code does not release the
  /// GIL.
  static Timers& without_gil();

  /// Calls the callback at this time. Returns an id for remove().
  /// Throws: StartupFailed if no thread can be started.
  Id set(Clock::time_point when, Callback callback);

  /// Removes a timer. Its callback may still be running when this returns.
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
  Id running_ = 0;  // the timer whose callback runs; 0 if it was removed
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace pyhost::detail
