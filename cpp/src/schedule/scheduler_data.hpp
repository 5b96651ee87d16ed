// The state of a scheduler, and the steps in which it exchanges data with its database.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pyhost/scheduler.hpp"
#include "schedule/active_runs.hpp"
#include "schedule/entries_source.hpp"

namespace pyhost {

struct Scheduler::Data {
  using Clock = detail::ActiveRuns::Clock;
  static constexpr std::chrono::seconds retry_pause{1};  // while the database cannot be reached

  Data(Host& host, SchedulerOptions given);

  std::optional<Clock::time_point> first_step(std::size_t room);
  std::optional<Clock::time_point> step(std::size_t room, std::optional<std::int64_t> until = {});
  void begin_claimed(const Json& claimed, Clock::time_point asked);
  void take_ended();
  void add_unstored(const detail::ClaimedRun& claim, const ScheduledRun& run);
  void report_refused(const Json& outcomes, const Json& lost) const;
  void report_unstored(const Json& outcome, std::string_view why) const;
  void report_ended_rows(const Json& rows) const;
  void report_problems(const std::vector<ScheduleProblem>& problems) const;
  void reload_entries();
  Clock::time_point next_renewal() const { return Clock::now() + options.lease / 3; }
  std::optional<Error> finish_runs(const std::function<void()>& step);
  void wait_for_next(std::optional<Clock::time_point> next);

  void notify(const ScheduleEvent& event) const noexcept;
  void notify_run(ScheduleEventKind kind, const detail::ClaimedRun& run, std::string_view message = {},
                  std::chrono::duration<double> seconds = {}, const Error* error = nullptr) const;
  void notify_all(ScheduleEventKind kind, std::string_view message) const;
  void notify_error(const Error& error) const noexcept;

  SchedulerOptions options;
  std::string owner;
  detail::EntriesSource source;
  detail::ActiveRuns active;
  std::atomic<bool> is_running = false;  // run() itself reloads the file, and reports its errors

  // Used only by the thread that is in tick(), run() or trigger().
  std::int64_t now = 0;             // the time of the last step, by the clock of the database
  Json unstored = Json::array();    // outcomes that are not stored in the database yet
  std::vector<ScheduledRun> ended;  // the runs that have ended in this tick or trigger
};

}  // namespace pyhost
