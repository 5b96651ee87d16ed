// The runs of a scheduler that are in flight. Runs whose claims are about to expire are stopped.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "pyhost/json.hpp"
#include "pyhost/pool.hpp"
#include "pyhost/scheduler.hpp"

namespace pyhost::detail {

/// A run that this process has claimed.
struct ClaimedRun {
  std::string entry = {};
  std::int64_t due = 0;  ///< In microseconds since 1970 UTC.
  int attempt = 1;
  std::string module = {};
  std::string state = {};  ///< JSON text.
  std::optional<std::chrono::milliseconds> timeout = {};

  Json key() const { return Json::array({entry, due, attempt}); }
};

/// A run that has ended. Its outcome is its result as JSON text, or its error.
struct EndedRun {
  ClaimedRun claim;
  std::variant<std::string, Error> outcome;
  bool is_lost = false;  ///< Stopped because its claim was not renewed. Its outcome does not count.
  std::chrono::duration<double> seconds;
};

/// The runs in flight. Each has a thread, which waits for a worker process of the pool. One more thread stops
/// the runs whose claims are about to expire. It never waits for a database or a module.
class ActiveRuns {
 public:
  using Clock = std::chrono::steady_clock;

  /// `lease` is how long a claim is valid.
  ActiveRuns(Host& host, PoolOptions options, std::chrono::milliseconds lease);
  ~ActiveRuns();
  ActiveRuns(const ActiveRuns&) = delete;
  ActiveRuns& operator=(const ActiveRuns&) = delete;

  /// Returns how many more runs may begin now. Runs that have ended do not count.
  std::size_t room() const;
  bool empty() const;

  /// Begins a run that was claimed by a call made at `asked`. If the run cannot be started, it ends with an
  /// error.
  void begin(const ClaimedRun& claim, Clock::time_point asked);

  /// Returns the keys of all runs that take_ended() has not returned yet. They include runs that are being
  /// stopped, because no other process must begin those before they have ended.
  Json keys() const;

  /// Records that a call made at `asked` has renewed all claims except those with the keys in `lost`. Stops
  /// the runs of the lost claims.
  void renew(Clock::time_point asked, const Json& lost);

  void cancel_all();

  /// Returns the runs that have ended since the last call.
  std::vector<EndedRun> take_ended();

  /// Waits until a run ends, wake() is called, or `time` has come. Returns false in the last case.
  bool wait_until(Clock::time_point time);
  void wake();

 private:
  struct Active;
  void make_run(Active& run);
  void end_run(Active& run, std::variant<std::string, Error> outcome);
  void watch(const std::stop_token& stop);
  void limits_changed();
  Clock::time_point limit_of(Clock::time_point asked) const;

  Host& host_;
  PoolOptions options_;
  const std::chrono::milliseconds lease_;
  std::optional<Pool> pool_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::condition_variable_any watch_changed_;
  std::vector<std::unique_ptr<Active>> active_;
  std::vector<EndedRun> ended_;
  bool woken_ = false;
  bool limits_changed_ = false;
  std::jthread watching_;
};

}  // namespace pyhost::detail
