// The runs that a scheduler has claimed and that are in progress, and the watch over their claims.
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

/// A run that has ended: its result as JSON text, or its error.
struct EndedRun {
  ClaimedRun claim;
  std::variant<std::string, Error> outcome;
  bool is_lost = false;  ///< It was stopped because its claim was not renewed, so its outcome does not count.
  std::chrono::duration<double> seconds;
};

/// Each run has a thread, which waits for a worker process of the pool. One more thread stops the runs whose
/// claims are about to end: it waits for no database and no module.
class ActiveRuns {
 public:
  using Clock = std::chrono::steady_clock;

  /// `lease` is how long a claim holds.
  ActiveRuns(Host& host, PoolOptions options, std::chrono::milliseconds lease);
  ~ActiveRuns();
  ActiveRuns(const ActiveRuns&) = delete;
  ActiveRuns& operator=(const ActiveRuns&) = delete;

  /// How many more runs may begin now. Those that have ended need no room, also before they are taken.
  std::size_t room() const;
  bool empty() const;

  /// Begins a run that was claimed by a call made at `asked`. If that fails, the run has ended with an error.
  void begin(const ClaimedRun& claim, Clock::time_point asked);

  /// The keys of all runs that have not been taken by take_ended(). Also those that are being stopped: nobody
  /// else should begin them before they have ended.
  Json keys() const;

  /// Notes that a call made at `asked` has renewed all claims but those with the keys in `lost`, whose runs
  /// it stops.
  void renew(Clock::time_point asked, const Json& lost);

  void cancel_all();

  /// Returns the runs that have ended since the last call.
  std::vector<EndedRun> take_ended();

  /// Waits until a run ends or wake() is called, and returns true; or until `time`, and returns false.
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
