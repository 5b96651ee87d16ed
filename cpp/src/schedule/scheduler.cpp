// The scheduler: claims due runs, makes them, and stores their outcomes.
#include "pyhost/scheduler.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>
#include <utility>

#include "pyhost/host.hpp"
#include "schedule/schedule_json.hpp"
#include "schedule/scheduler_data.hpp"

namespace pyhost {

Scheduler::Scheduler(Host& host, SchedulerOptions options)
    : data_(std::make_unique<Data>(host, std::move(options))) {}

Scheduler::~Scheduler() = default;

Schedule Scheduler::entries(std::size_t next) {
  if (!data_->is_running) data_->source.reload();
  const Json answer = data_->source.claims().call("entries", {{"next", next}});
  Schedule schedule = detail::schedule_of(answer);
  std::ranges::move(data_->source.problems(), std::back_inserter(schedule.problems));
  return schedule;
}

void Scheduler::set_entries(std::vector<Entry> entries) {
  data_->source.set_entries(entries);
  data_->active.wake();
}

std::vector<ScheduledRun> Scheduler::history(const HistoryOptions& options) {
  const Json name = options.entry.empty() ? Json(nullptr) : Json(options.entry);
  const Json answer = data_->source.claims().call(
      "history", {{"name", name}, {"failed", options.failed_only}, {"limit", options.limit}});
  std::vector<ScheduledRun> runs;
  for (const Json& each : answer.at("runs")) runs.push_back(detail::run_of(each));
  return runs;
}

void Scheduler::set_enabled(std::string_view entry, bool enabled) {
  data_->source.claims().call("set_enabled", {{"name", entry}, {"enabled", enabled}});
}

std::vector<ScheduledRun> Scheduler::due() {
  if (!data_->is_running) data_->source.reload();
  const Json answer = data_->source.claims().call(
      "step", {{"owner", data_->owner}, {"room", std::numeric_limits<int>::max()}, {"dry_run", true}});
  data_->report_problems(detail::problems_of(answer.at("problems")));
  data_->report_problems(data_->source.problems());
  std::vector<ScheduledRun> runs;
  for (const Json& each : answer.at("claimed")) {
    runs.push_back({.entry = each.at("entry"),
                    .due = detail::time_of_microseconds(each.at("due")),
                    .attempt = each.at("attempt"),
                    .status = "due"});
  }
  return runs;
}

TickResult Scheduler::tick(std::stop_token cancel) {
  Data& data = *data_;
  data.ended.clear();
  data.reload_entries();
  data.report_problems(data.source.problems());
  const std::stop_callback on_cancel(cancel, [&] { data.active.cancel_all(); });
  // Entries that become due while these run are left for the next tick.
  std::optional<std::int64_t> until;
  const auto step = [&] {
    const std::size_t room = cancel.stop_requested() ? 0 : data.active.room();
    until ? data.step(room, until) : data.first_step(room);
    if (!until) until = data.now;
    if (cancel.stop_requested()) data.active.cancel_all();  // also the runs that this step has begun
  };
  step();
  if (const auto failure = data.finish_runs(step)) throw *failure;
  TickResult result{.runs = std::exchange(data.ended, {})};
  result.failed = static_cast<std::size_t>(
      std::ranges::count_if(result.runs, [](const ScheduledRun& run) { return run.status != "succeeded"; }));
  return result;
}

ScheduledRun Scheduler::trigger(std::string_view entry, std::stop_token cancel) {
  Data& data = *data_;
  data.ended.clear();
  const auto asked = Data::Clock::now();
  const Json answer = data.source.claims().call("trigger", {{"owner", data.owner}, {"name", entry}});
  data.begin_claimed(answer.at("claimed"), asked);
  const std::stop_callback on_cancel(std::move(cancel), [&] { data.active.cancel_all(); });
  if (const auto failure = data.finish_runs([&] { data.step(0); })) throw *failure;
  return std::exchange(data.ended, {}).at(0);
}

namespace {

class Running {
 public:
  explicit Running(std::atomic<bool>& flag) : flag_(flag) { flag_ = true; }
  ~Running() { flag_ = false; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  std::atomic<bool>& flag_;
};

}  // namespace

void Scheduler::run(std::stop_token stop, std::stop_token cancel) {
  Data& data = *data_;
  const std::stop_callback on_stop(stop, [&] { data.active.wake(); });
  const std::stop_callback on_cancel(cancel, [&] {
    data.active.cancel_all();
    data.active.wake();
  });
  const Running running(data.is_running);
  data.report_problems(data.source.problems());
  auto next = data.first_step(data.active.room());
  std::optional<ErrorKind> failure;  // set if the last step failed
  while (!stop.stop_requested() && !cancel.stop_requested()) {
    data.wait_for_next(next);
    data.reload_entries();
    try {
      next = data.step(data.active.room());
      if (std::exchange(failure, std::nullopt)) data.notify_all(ScheduleEventKind::Connected, "");
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::HostClosed) throw;
      const auto before = std::exchange(failure, error.kind());
      if (before != failure) data.notify_error(error);
      if (!before) data.notify_all(ScheduleEventKind::Disconnected, error.message());
      next = Data::Clock::now() + Data::retry_pause;
    }
    data.ended.clear();
  }
  if (cancel.stop_requested()) data.active.cancel_all();
  if (const auto last = data.finish_runs([&] { data.step(0); })) {
    data.notify_error(*last);
    for (const Json& each : data.unstored) data.report_unstored(each, "its outcome could not be stored");
  }
  data.ended.clear();
}

}  // namespace pyhost
