// Claims, begins and ends the runs of a scheduler.
#include "schedule/scheduler_data.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <random>
#include <utility>

#include "error/exit_code.hpp"
#include "error/json_text.hpp"
#include "pyhost/host.hpp"
#include "schedule/schedule_json.hpp"

namespace pyhost {

namespace detail {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// Returns a name that is unique among all schedulers that use the same database.
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
    refuse("the runs of a schedule need worker processes: no other level of isolation can stop every run",
           "set SchedulerOptions::pool.isolation to Isolation::Process");
  if (options.lease < std::chrono::seconds(1))
    refuse("SchedulerOptions::lease is shorter than 1 s", "leave it out to use the default, 30 s");
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

ScheduledRun stopped_run(ScheduledRun run, const std::string& module) {
  run.status = "stopped";
  run.result.reset();
  run.message = "it was stopped, because its claim could not be renewed in time";
  run.error = Error({.kind = ErrorKind::Unreachable,
                     .phase = Phase::Run,
                     .module = module,
                     .message = "the run was stopped, because its claim could not be renewed in time"});
  run.exit_code = exit_code(*run.error);
  return run;
}

PoolOptions with_workers(PoolOptions pool, std::size_t workers) {
  if (pool.workers == 0) pool.workers = workers;
  return pool;
}

}  // namespace

}  // namespace detail

Scheduler::Data::Data(Host& host, SchedulerOptions given)
    : options((detail::check_options(given), std::move(given))),
      owner(detail::new_owner()),
      source(host, options),
      active(host, detail::with_workers(options.pool, source.workers()), options.lease) {}

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
    // A callback's exceptions are ignored.
  }
}

// Makes the first step. Throws only if no run has begun. Otherwise reports the error, and the caller tries
// again later.
std::optional<Scheduler::Data::Clock::time_point> Scheduler::Data::first_step(std::size_t room) {
  try {
    return step(room);
  } catch (const Error& error) {
    if (active.empty()) throw;
    notify_error(error);
    return Clock::now() + retry_pause;
  }
}

// Makes one exchange with the database: stores outcomes, renews claims, and claims up to `room` runs that are
// due, but none that is due after `until`. Returns the latest time for the next step.
std::optional<Scheduler::Data::Clock::time_point> Scheduler::Data::step(std::size_t room,
                                                                        std::optional<std::int64_t> until) {
  take_ended();
  const auto asked = Clock::now();
  Json arguments{
      {"owner", owner}, {"room", room}, {"renew", active.keys()}, {"finished", unstored}, {"repeats", true}};
  if (until) arguments["until"] = *until;
  const Json answer = source.claims().call("step", std::move(arguments));
  now = answer.at("now");
  active.renew(asked, answer.at("lost"));
  report_refused(std::exchange(unstored, Json::array()), answer.at("lost"));
  report_ended_rows(answer.at("ended"));
  if (answer.at("problems_changed").get<bool>()) report_problems(detail::problems_of(answer.at("problems")));
  for (const Json& each : answer.at("claimed")) begin_claimed(each, asked);
  if (answer.contains("failure"))
    detail::throw_failure(answer["failure"]);  // last, because a part of the step was done
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
    if (each.is_lost) run = detail::stopped_run(std::move(run), each.claim.module);
    add_unstored(each.claim, run);
    if (each.is_lost) {
      notify_run(ScheduleEventKind::Stopped, each.claim, run.message, each.seconds);
    } else if (run.error) {
      notify_run(ScheduleEventKind::Failed, each.claim, run.message, each.seconds, &*run.error);
      notify_error(*run.error);
    } else {
      notify_run(ScheduleEventKind::Succeeded, each.claim, {}, each.seconds);
    }
    ended.push_back(std::move(run));
  }
}

void Scheduler::Data::add_unstored(const detail::ClaimedRun& claim, const ScheduledRun& run) {
  const bool was_stopped = run.status == "stopped";
  Json error;
  if (was_stopped) {
    error = detail::json_text_with_replacements({{"message", run.message}});
  } else if (run.error) {
    error = detail::json_text_with_replacements(run.error->to_json());
  }
  unstored.push_back({{"entry", run.entry},
                      {"due", claim.due},
                      {"attempt", run.attempt},
                      {"status", was_stopped ? "lost" : run.status},
                      {"exit_code", was_stopped ? Json(nullptr) : Json(*run.exit_code)},
                      {"result", run.result ? Json(*run.result) : Json(nullptr)},
                      {"error", std::move(error)}});
}

// Reports the outcomes that the database refused. It refuses one if another process has taken over the run,
// because this process did not renew its claim.
void Scheduler::Data::report_refused(const Json& outcomes, const Json& lost) const {
  for (const Json& each : outcomes) {
    const Json key = Json::array({each.at("entry"), each.at("due"), each.at("attempt")});
    if (std::ranges::find(lost, key) != lost.end())
      report_unstored(each, "its claim was lost before its outcome could be stored");
  }
}

void Scheduler::Data::report_unstored(const Json& outcome, std::string_view why) const {
  if (outcome.at("status") == "lost") return;  // already reported as stopped
  const detail::ClaimedRun run{
      .entry = outcome.at("entry"), .due = outcome.at("due"), .attempt = outcome.at("attempt")};
  notify_run(ScheduleEventKind::Stopped, run, why);
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

// Calls `step` until all runs have ended and their outcomes are stored. If `step` fails, tries again until
// the claims have expired. Returns the error of the last step, if it failed.
std::optional<Error> Scheduler::Data::finish_runs(const std::function<void()>& step) {
  std::optional<Error> failure;
  auto give_up = Clock::now() + options.lease;
  while (!active.empty() || (!unstored.empty() && Clock::now() < give_up)) {
    active.wait_until(failure ? Clock::now() + retry_pause : next_renewal());
    try {
      step();
      failure.reset();
      give_up = Clock::now() + options.lease;
    } catch (const Error& error) {
      failure = error;
    }
  }
  return failure;
}

// Waits until a run ends, the application calls wake(), the file changes, or `next` has come.
void Scheduler::Data::wait_for_next(std::optional<Clock::time_point> next) {
  constexpr std::chrono::seconds longest(10);  // other processes may change the table and the history
  constexpr std::chrono::milliseconds shortest(5), until_file_is_checked(500);
  auto until = std::min(Clock::now() + longest, next_renewal());
  if (next && active.room() > 0) until = std::min(until, std::max(*next, Clock::now() + shortest));
  while (Clock::now() < until) {
    const auto check = source.is_file() ? Clock::now() + until_file_is_checked : until;
    if (active.wait_until(std::min(until, check)) || source.has_changed()) return;
  }
}

}  // namespace pyhost
