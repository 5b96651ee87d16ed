// Converts the structs of a schedule to JSON and back.
#include "schedule/schedule_json.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <string_view>
#include <utility>

#include "error/error_json.hpp"
#include "error/json_text.hpp"

namespace pyhost {

std::string_view to_string(ScheduleEventKind kind) noexcept {
  constexpr std::array<std::string_view, 10> names{"Started",      "Succeeded", "Failed", "Stopped",
                                                   "Skipped",      "Missed",    "Lost",   "Reloaded",
                                                   "Disconnected", "Connected"};
  return names[static_cast<std::size_t>(kind)];
}

namespace {

constexpr std::array<std::string_view, 3> overlap_words{"skip", "queue", "allow"};
constexpr std::array<std::string_view, 3> missed_words{"none", "latest", "all"};

}  // namespace

std::string_view to_string(Overlap overlap) noexcept {
  return overlap_words[static_cast<std::size_t>(overlap)];
}

std::string_view to_string(Missed missed) noexcept { return missed_words[static_cast<std::size_t>(missed)]; }

}  // namespace pyhost

namespace pyhost::detail {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

template <class Enum>
Enum enum_of(const std::array<std::string_view, 3>& words, const Json& word) {
  std::size_t at = 0;
  while (at + 1 < words.size() && words[at] != word.get_ref<const std::string&>()) ++at;
  return static_cast<Enum>(at);
}

std::string milliseconds_text(milliseconds time) { return std::to_string(time.count()) + "ms"; }

Json raw_entry(const Entry& entry) {
  Json raw{{"name", entry.name},
           {"module", entry.module},
           {"state", entry.state},
           {"zone", entry.zone},
           {"overlap", to_string(entry.overlap)},
           {"late", milliseconds_text(entry.late)},
           {"missed", to_string(entry.missed)},
           {"retries", entry.retries},
           {"enabled", entry.enabled},
           {"place", "entry '" + entry.name + "'"}};
  if (!entry.cron.empty()) raw["cron"] = entry.cron;
  if (entry.every) raw["every"] = milliseconds_text(*entry.every);
  if (!entry.at.empty()) raw["at"] = entry.at;
  if (!entry.after.empty()) raw["after"] = entry.after;
  if (entry.timeout) raw["timeout"] = milliseconds_text(*entry.timeout);
  return raw;
}

template <class T>
std::optional<T> optional_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return std::nullopt;
  return found->get<T>();
}

std::string text_of(const Json& json, const char* key) {
  return optional_of<std::string>(json, key).value_or(std::string());
}

std::optional<milliseconds> duration_of(const Json& json, const char* key) {
  const auto given = optional_of<std::int64_t>(json, key);
  if (!given) return std::nullopt;
  return std::chrono::round<milliseconds>(microseconds(*given));
}

std::optional<ScheduledRun::Time> time_in(const Json& json, const char* key) {
  const auto given = optional_of<std::int64_t>(json, key);
  if (!given) return std::nullopt;
  return time_of_microseconds(*given);
}

EntryStatus status_of(const Json& json) {
  EntryStatus status;
  Entry& entry = status.entry;
  entry.name = json.at("name");
  entry.module = json.at("module");
  entry.state = parse_json(json.at("state").get_ref<const std::string&>());
  entry.cron = text_of(json, "cron");
  entry.every = duration_of(json, "every");
  entry.at = text_of(json, "at_text");
  entry.after = text_of(json, "after");
  entry.zone = json.at("zone");
  entry.overlap = enum_of<Overlap>(overlap_words, json.at("overlap"));
  entry.late = duration_of(json, "late").value_or(entry.late);
  entry.missed = enum_of<Missed>(missed_words, json.at("missed"));
  entry.timeout = duration_of(json, "timeout");
  entry.retries = json.at("retries");
  entry.enabled = json.at("enabled");
  status.place = text_of(json, "place");
  status.when = json.at("when");
  for (const Json& each : json.at("next")) status.next.push_back(time_of_microseconds(each));
  status.next_text = json.at("next_text").get<std::vector<std::string>>();
  if (!json.at("last").is_null()) status.last = run_of(json["last"]);
  status.running = json.at("running");
  return status;
}

}  // namespace

std::int64_t microseconds_of(ScheduledRun::Time time) noexcept {
  return std::chrono::duration_cast<microseconds>(time.time_since_epoch()).count();
}

ScheduledRun::Time time_of_microseconds(std::int64_t since_epoch) noexcept {
  return ScheduledRun::Time(
      std::chrono::duration_cast<ScheduledRun::Time::duration>(microseconds(since_epoch)));
}

Json raw_entries(const std::vector<Entry>& entries) {
  Json raw = Json::array();
  for (const Entry& each : entries) raw.push_back(raw_entry(each));
  return raw;
}

Schedule schedule_of(const Json& answer) {
  Schedule schedule{.now = time_of_microseconds(answer.at("now")),
                    .problems = problems_of(answer.at("problems"))};
  for (const Json& each : answer.at("entries")) schedule.entries.push_back(status_of(each));
  return schedule;
}

ScheduledRun run_of(const Json& row) {
  ScheduledRun run;
  run.entry = row.at("entry");
  run.due = time_of_microseconds(row.at("due"));
  run.attempt = row.at("attempt");
  run.status = row.at("status");
  run.owner = text_of(row, "owner");
  run.started = time_in(row, "started");
  run.finished = time_in(row, "finished");
  run.exit_code = optional_of<int>(row, "exit_code");
  run.result = optional_of<std::string>(row, "result");
  run.triggered = optional_of<int>(row, "triggered").value_or(0) != 0;
  const std::string error = text_of(row, "error");
  if (error.empty()) return run;
  const Json said = parse_json(error);
  if (said.contains("schema")) {
    run.error = error_from_json(said);
    run.message = run.error->message();
  } else {
    run.message = text_of(said, "message");
  }
  return run;
}

std::vector<ScheduleProblem> problems_of(const Json& problems) {
  std::vector<ScheduleProblem> all;
  for (const Json& each : problems)
    all.push_back({.entry = text_of(each, "entry"),
                   .place = text_of(each, "place"),
                   .message = text_of(each, "message"),
                   .hint = text_of(each, "hint")});
  return all;
}

Error error_of(const ScheduleProblem& problem) {
  return Error({.kind = ErrorKind::InvalidSchedule,
                .phase = Phase::Start,
                .message = (problem.place.empty() ? "" : problem.place + ": ") +
                           (problem.entry.empty() ? "" : "entry '" + problem.entry + "': ") + problem.message,
                .hint = problem.hint});
}

}  // namespace pyhost::detail
