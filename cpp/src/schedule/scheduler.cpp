// The scheduler: claims what is due, runs it, and stores the outcomes.
#include "pyhost/scheduler.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <iterator>
#include <limits>
#include <random>
#include <utility>

#include "error/exit_code.hpp"
#include "error/json_text.hpp"
#include "pyhost/host.hpp"
#include "schedule/active_runs.hpp"
#include "schedule/entries_source.hpp"
#include "schedule/schedule_json.hpp"

namespace pyhost {

namespace detail {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// Tells this scheduler from all others that use the same database.
std::string new_owner() {
  std::array<char, 256> machine{};
  gethostname(machine.data(), machine.size() - 1);
  std::random_device random;
  return std::string(machine.data()) + ":" + std::to_string(getpid()) + ":" + std::to_string(random());
}

void check_options(const SchedulerOptions& options) {
  const auto refuse = [](const char* message, const char* hint) {
    throw Error(
        {.kind = ErrorKind::InvalidSchedule, .phase = Phase::Start, .message = message, .hint = hint});
  };
  if (options.pool.isolation != Isolation::Process)
    refuse("the runs of a schedule need worker processes, because no other level can stop every run",
           "set SchedulerOptions::pool.isolation to Isolation::Process");
  if (options.lease < std::chrono::seconds(1))
    refuse("SchedulerOptions::lease is shorter than 1 s", "leave it out for 30 s");
}

ClaimedRun claimed_run(const Json& json) {
  ClaimedRun run{.entry = json.at("entry"),
                 .due = json.at("due"),
                 .attempt = json.at("attempt"),
                 .module = json.at("module"),
                 .state = json.at("state")};
  if (!json.at("timeout").is_null())
    run.timeout = std::chrono::round<milliseconds>(microseconds(json["timeout"].get<std::int64_t>()));
  return run;
}

ScheduledRun scheduled_run(const EndedRun& ended, const std::string& owner) {
  ScheduledRun run{.entry = ended.claim.entry,
                   .due = time_of_microseconds(ended.claim.due),
                   .attempt = ended.claim.attempt,
                   .owner = owner};
  if (const std::string* result = std::get_if<std::string>(&ended.outcome)) {
    run.status = "succeeded";
    run.exit_code = ok;
    run.result = *result;
  } else {
    run.error = std::get<Error>(ended.outcome);
    run.status = "failed";
    run.exit_code = exit_code(*run.error);
    run.message = run.error->message();
  }
  return run;
}

}  // namespace

}  // namespace detail

struct Scheduler::Data {
  using Clock = detail::ActiveRuns::Clock;
  static constexpr std::chrono::seconds retry_pause{1};  // while the database is out of reach

  Data(Host& host, SchedulerOptions given)
      : options((detail::check_options(given), std::move(given))),
        source(host, options),
        active(host, with_workers(options.pool, source.workers()), options.lease) {}

  static PoolOptions with_workers(PoolOptions pool, std::size_t workers) {
    if (pool.workers == 0) pool.workers = workers;
    return pool;
  }

  std::optional<Clock::time_point> step(std::size_t room, std::optional<std::int64_t> until = {});
  void begin_claimed(const Json& claimed, Clock::time_point asked);
  void take_ended();
  void report_refused(const Json& outcomes, const Json& lost) const;
  void report_ended_rows(const Json& rows) const;
  void report_problems(const std::vector<ScheduleProblem>& problems) const;
  void reload_entries();
  Clock::time_point next_renewal() const { return Clock::now() + options.lease / 3; }
  void finish_runs(const std::function<void()>& step);
  void wait_for_next(std::optional<Clock::time_point> next);

  void notify(const ScheduleEvent& event) const noexcept;
  void notify_run(ScheduleEventKind kind, const detail::ClaimedRun& run, std::string_view message = {},
                  std::chrono::duration<double> seconds = {}, const Error* error = nullptr) const;
  void notify_all(ScheduleEventKind kind, std::string_view message) const;
  void notify_error(const Error& error) const noexcept;

  SchedulerOptions options;
  std::string owner = detail::new_owner();
  detail::EntriesSource source;
  detail::ActiveRuns active;

  // Of the thread that is in tick(), run() or trigger().
  std::int64_t now = 0;             // of the last step, by the clock of the database
  Json unstored = Json::array();    // outcomes that the database does not have yet
  std::vector<ScheduledRun> ended;  // of this tick or trigger
};

void Scheduler::Data::notify(const ScheduleEvent& event) const noexcept {
  if (!options.on_event) return;
  try {
    options.on_event(event);
  } catch (...) {
    // A callback's exceptions are ignored.
  }
}

void Scheduler::Data::notify_run(ScheduleEventKind kind, const detail::ClaimedRun& run,
                                 std::string_view message, std::chrono::duration<double> seconds,
                                 const Error* error) const {
  notify({kind, run.entry, detail::time_of_microseconds(run.due), run.attempt, message, seconds, error});
}

void Scheduler::Data::notify_all(ScheduleEventKind kind, std::string_view message) const {
  notify({kind, {}, {}, 0, message, {}, nullptr});
}

void Scheduler::Data::notify_error(const Error& error) const noexcept {
  if (!options.on_error) return;
  try {
    options.on_error(error);
  } catch (...) {
    // As above.
  }
}

// One exchange with the database: stores outcomes, renews claims, and claims what is due for `room` more
// runs, but nothing that is due after `until`. Returns when the next step is due at the latest.
std::optional<Scheduler::Data::Clock::time_point> Scheduler::Data::step(std::size_t room,
                                                                        std::optional<std::int64_t> until) {
  take_ended();
  const auto asked = Clock::now();
  Json arguments{{"owner", owner}, {"room", room}, {"renew", active.keys()}, {"finished", unstored}};
  if (until) arguments["until"] = *until;
  const Json answer = source.claims().call("step", std::move(arguments));
  now = answer.at("now");
  active.renew(asked, answer.at("lost"));
  report_refused(std::exchange(unstored, Json::array()), answer.at("lost"));
  report_ended_rows(answer.at("ended"));
  if (answer.at("problems_changed").get<bool>()) report_problems(detail::problems_of(answer.at("problems")));
  for (const Json& each : answer.at("claimed")) begin_claimed(each, asked);
  if (answer.contains("failure"))
    detail::throw_failure(answer["failure"]);  // after a part of the step was done
  if (answer.at("next").is_null()) return std::nullopt;
  const std::int64_t wait = answer.at("next").get<std::int64_t>() - now;
  return Clock::now() + std::chrono::microseconds(std::max<std::int64_t>(wait, 0));
}

void Scheduler::Data::begin_claimed(const Json& claimed, Clock::time_point asked) {
  const detail::ClaimedRun run = detail::claimed_run(claimed);
  notify_run(ScheduleEventKind::Started, run);
  active.begin(run, asked);
}

void Scheduler::Data::take_ended() {
  for (const detail::EndedRun& each : active.take_ended()) {
    ScheduledRun run = detail::scheduled_run(each, owner);
    if (each.is_lost) {
      run.status = "stopped";
      notify_run(ScheduleEventKind::Stopped, each.claim, "its claim could not be renewed in time",
                 each.seconds);
    } else {
      unstored.push_back(
          {{"entry", run.entry},
           {"due", each.claim.due},
           {"attempt", run.attempt},
           {"status", run.status},
           {"exit_code", *run.exit_code},
           {"result", run.result ? Json(*run.result) : Json(nullptr)},
           {"error",
            run.error ? Json(detail::json_text_with_replacements(run.error->to_json())) : Json(nullptr)}});
      if (run.error) notify_error(*run.error);
      notify_run(run.error ? ScheduleEventKind::Failed : ScheduleEventKind::Succeeded, each.claim,
                 run.message, each.seconds, run.error ? &*run.error : nullptr);
    }
    ended.push_back(std::move(run));
  }
}

// An outcome is refused if another process has taken the run over, because this one did not renew its claim.
void Scheduler::Data::report_refused(const Json& outcomes, const Json& lost) const {
  for (const Json& each : outcomes) {
    const Json key = Json::array({each.at("entry"), each.at("due"), each.at("attempt")});
    if (std::ranges::find(lost, key) == lost.end()) continue;
    const detail::ClaimedRun run{
        .entry = each.at("entry"), .due = each.at("due"), .attempt = each.at("attempt")};
    notify_run(ScheduleEventKind::Stopped, run, "its claim was lost before its outcome could be stored");
  }
}

void Scheduler::Data::report_ended_rows(const Json& rows) const {
  for (const Json& each : rows) {
    const std::string status = each.at("status");
    const auto kind = status == "skipped"  ? ScheduleEventKind::Skipped
                      : status == "missed" ? ScheduleEventKind::Missed
                                           : ScheduleEventKind::Lost;
    const detail::ClaimedRun run{
        .entry = each.at("entry"), .due = each.at("due"), .attempt = each.at("attempt")};
    notify_run(kind, run, each.at("message").get_ref<const std::string&>());
  }
}

void Scheduler::Data::report_problems(const std::vector<ScheduleProblem>& problems) const {
  for (const ScheduleProblem& each : problems) notify_error(detail::error_of(each));
}

void Scheduler::Data::reload_entries() {
  if (!source.is_file()) return;
  try {
    if (!source.reload()) return;
    notify_all(ScheduleEventKind::Reloaded, "");
    report_problems(source.problems());
  } catch (const Error& unreadable) {
    notify_error(unreadable);
  }
}

Scheduler::Scheduler(Host& host, SchedulerOptions options)
    : data_(std::make_unique<Data>(host, std::move(options))) {}

Scheduler::~Scheduler() = default;

Schedule Scheduler::entries(std::size_t next) {
  data_->source.reload();
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
  data_->source.reload();
  const Json answer = data_->source.claims().call(
      "step", {{"owner", data_->owner}, {"room", std::numeric_limits<int>::max()}, {"dry_run", true}});
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
  data.step(data.active.room());
  // What becomes due while these run is left for the next tick.
  const std::int64_t until = data.now;
  data.finish_runs([&] { data.step(cancel.stop_requested() ? 0 : data.active.room(), until); });
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
  data.finish_runs([&] { data.step(0); });
  return std::exchange(data.ended, {}).at(0);
}

// Calls `step` until all runs have ended and their outcomes are stored. While the database is out of reach it
// tries again, for as long as a claim holds.
void Scheduler::Data::finish_runs(const std::function<void()>& step) {
  std::optional<Clock::time_point> give_up;
  while (!active.empty() || !unstored.empty()) {
    active.wait_until(give_up ? Clock::now() + retry_pause : next_renewal());
    try {
      step();
      give_up.reset();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::Unreachable) throw;
      if (!give_up) give_up = Clock::now() + options.lease;
      if (active.empty() && Clock::now() > *give_up) throw;
    }
  }
}

void Scheduler::run(std::stop_token stop, std::stop_token cancel) {
  Data& data = *data_;
  const std::stop_callback on_stop(stop, [&] { data.active.wake(); });
  const std::stop_callback on_cancel(cancel, [&] {
    data.active.cancel_all();
    data.active.wake();
  });
  data.report_problems(data.source.problems());
  auto next = data.step(data.active.room());
  bool connected = true;
  while (!stop.stop_requested() && !cancel.stop_requested()) {
    data.wait_for_next(next);
    data.reload_entries();
    try {
      next = data.step(data.active.room());
      if (!std::exchange(connected, true)) data.notify_all(ScheduleEventKind::Connected, "");
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::Unreachable && error.kind() != ErrorKind::InvalidSchedule) throw;
      if (std::exchange(connected, false)) {
        data.notify_error(error);
        data.notify_all(ScheduleEventKind::Disconnected, error.message());
      }
      next = Data::Clock::now() + Data::retry_pause;
    }
    data.ended.clear();
  }
  if (cancel.stop_requested()) data.active.cancel_all();
  data.finish_runs([&] { data.step(0); });
  data.ended.clear();
}

// Waits until a run ends, the application or a change of the file wakes it, or until `next`.
void Scheduler::Data::wait_for_next(std::optional<Clock::time_point> next) {
  constexpr std::chrono::seconds longest(10);  // others may write the table and the history
  constexpr std::chrono::milliseconds shortest(5), until_file_is_checked(500);
  auto until = std::min(Clock::now() + longest, next_renewal());
  if (next && active.room() > 0) until = std::min(until, std::max(*next, Clock::now() + shortest));
  while (Clock::now() < until) {
    const auto check = source.is_file() ? Clock::now() + until_file_is_checked : until;
    if (active.wait_until(std::min(until, check)) || source.has_changed()) return;
  }
}

}  // namespace pyhost
