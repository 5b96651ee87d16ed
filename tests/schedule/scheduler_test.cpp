#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

using namespace pyhost;
using namespace std::chrono_literals;
using test::ModuleFolder;

namespace {

// A host over the fixtures, and a folder for the schedule and its history.
struct Fixture {
  ModuleFolder folder;
  Host host{folder.options()};

  std::string history() const { return (folder.path() / "schedule.db").string(); }

  // Options with entries of the application.
  SchedulerOptions options(std::vector<Entry> entries) const {
    return {.entries = std::move(entries),
            .history = history(),
            .pool = {.workers = 2, .isolation = Isolation::Process}};
  }

  std::string write_file(const std::string& text) const {
    const auto file = folder.path() / "schedule.toml";
    std::ofstream(file) << text;
    return file.string();
  }
};

Entry every_second(const std::string& name, const std::string& module) {
  return {.name = name, .module = module, .every = 1s};
}

// Records the events of a scheduler.
class Events {
 public:
  void listen_to(SchedulerOptions& options) {
    options.on_event = [this](const ScheduleEvent& event) {
      const std::lock_guard lock(mutex_);
      all_.push_back(std::string(to_string(event.kind)) + " " + std::string(event.entry));
    };
  }

  bool has(const std::string& event) const {
    const std::lock_guard lock(mutex_);
    return std::ranges::find(all_, event) != all_.end();
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> all_;
};

// Runs a scheduler on its own thread until this object is destroyed.
class Running {
 public:
  explicit Running(Scheduler& scheduler)
      : thread_([&scheduler](const std::stop_token& stop) { scheduler.run(stop); }) {}

 private:
  std::jthread thread_;
};

}  // namespace

TEST_CASE("a tick runs due entries once, and the history has the results") {
  Fixture f;
  Scheduler scheduler(
      f.host, f.options({{.name = "state", .module = "returns_state", .state = {{"n", 3}}, .every = 1s}}));
  CHECK(scheduler.tick().runs.empty());  // the first tick only registers the entry
  TickResult result;
  REQUIRE(test::eventually([&] { return !(result = scheduler.tick()).runs.empty(); }));
  REQUIRE(result.runs.size() == 1);
  CHECK(result.failed == 0);
  CHECK(result.runs[0].result == R"({"n":3})");
  const std::vector<ScheduledRun> history = scheduler.history();
  REQUIRE(!history.empty());
  CHECK(history[0].entry == "state");
  CHECK(history[0].status == "succeeded");
  CHECK(history[0].exit_code == 0);
  CHECK(history[0].result == R"({"n":3})");
  CHECK(history[0].started >= history[0].due);
}

TEST_CASE("a run of the schedule knows its entry, due time and attempt") {
  Fixture f;
  const Json sees{{"first", "import pyhost; for_what = pyhost.current_run().scheduled"},
                  {"give", "[for_what.entry, for_what.attempt, round(for_what.due.timestamp() * 1e6)]"}};
  Scheduler scheduler(
      f.host, f.options({{.name = "sees", .module = "evaluates", .state = sees, .at = "2100-01-01T00:00"}}));
  const ScheduledRun run = scheduler.trigger("sees");
  REQUIRE(run.result);
  const Json seen = Json::parse(*run.result);
  CHECK(seen[0] == "sees");
  CHECK(seen[1] == 1);
  CHECK(seen[2] == std::chrono::duration_cast<std::chrono::microseconds>(run.due.time_since_epoch()).count());
}

TEST_CASE("an entry that is triggered runs at once, and its error is in the history") {
  Fixture f;
  SchedulerOptions options =
      f.options({{.name = "bad", .module = "raises_in_run", .at = "2100-01-01T00:00", .enabled = false}});
  std::vector<std::string> errors;
  options.on_error = [&](const Error& error) { errors.emplace_back(to_string(error.kind())); };
  Scheduler scheduler(f.host, options);
  const ScheduledRun run = scheduler.trigger("bad");
  CHECK(run.status == "failed");
  CHECK(run.exit_code == 1);
  REQUIRE(run.error);
  CHECK(run.error->kind() == ErrorKind::ModuleRaised);
  CHECK(errors == std::vector<std::string>{"ModuleRaised"});
  const std::vector<ScheduledRun> history = scheduler.history({.failed_only = true});
  REQUIRE(history.size() == 1);
  CHECK(history[0].triggered);
  REQUIRE(history[0].error);
  CHECK(history[0].error->to_json() == run.error->to_json());
  REQUIRE_ERROR(unknown, InvalidSchedule, scheduler.trigger("bda"));
  CHECK_SAYS(unknown, "did you mean 'bad'?");
}

TEST_CASE("a running scheduler runs new entries, and returns when it is stopped") {
  Fixture f;
  Events events;
  SchedulerOptions options = f.options({});
  events.listen_to(options);
  Scheduler scheduler(f.host, options);
  {
    const Running running(scheduler);
    scheduler.set_entries(
        {every_second("first", "wins"), {.name = "then", .module = "wins", .after = "first"}});
    CHECK(test::eventually([&] { return events.has("Succeeded then"); }));
  }
  CHECK(events.has("Succeeded first"));
  for (const ScheduledRun& run : scheduler.history()) CHECK(run.status == "succeeded");
}

TEST_CASE("a stopped scheduler waits for its runs unless it is cancelled") {
  Fixture f;
  Events events;
  SchedulerOptions options =
      f.options({{.name = "long", .module = "waits", .state = {{"how", "sleep"}}, .every = 1s}});
  events.listen_to(options);
  Scheduler scheduler(f.host, options);
  std::stop_source stop, cancel;
  std::thread running([&] { scheduler.run(stop.get_token(), cancel.get_token()); });
  CHECK(test::eventually([&] { return events.has("Started long"); }));
  stop.request_stop();
  std::this_thread::sleep_for(50ms);
  CHECK(!events.has("Failed long"));
  cancel.request_stop();
  running.join();
  CHECK(events.has("Failed long"));
  const std::vector<ScheduledRun> history = scheduler.history({.entry = "long", .failed_only = true});
  REQUIRE(!history.empty());
  REQUIRE(history[0].error);
  CHECK(history[0].error->kind() == ErrorKind::Cancelled);
}

TEST_CASE("a tick that is cancelled before it starts runs no entry") {
  Fixture f;
  Scheduler scheduler(f.host, f.options({every_second("beat", "wins")}));
  scheduler.tick();
  std::this_thread::sleep_for(1100ms);
  std::stop_source cancel;
  cancel.request_stop();
  CHECK(scheduler.tick(cancel.get_token()).runs.empty());
  CHECK(scheduler.tick().runs.size() == 1);
}

TEST_CASE("a broken entry of a file is refused with its place, and the others run") {
  Fixture f;
  const std::string file = f.write_file(
      "[[schedule.entry]]\nname = 'good'\nmodule = 'wins'\nevery = '1s'\n\n"
      "[[schedule.entry]]\nname = 'bad'\nmodule = 'wins'\nevery = '1s'\nat = 2100-01-01T00:00:00\n\n"
      "[[schedule.entry]]\nname = 'odd'\nmodule = 'wins'\nstate = { when = 2100-01-01 }\nevery = '1s'\n");
  Scheduler scheduler(f.host, {.from = file});
  const Schedule schedule = scheduler.entries(3);
  REQUIRE(schedule.entries.size() == 1);
  CHECK(schedule.entries[0].entry.name == "good");
  CHECK(schedule.entries[0].place == file + ":1");
  CHECK(schedule.entries[0].when == "every second");
  CHECK(schedule.entries[0].next.size() == 3);
  CHECK(!std::filesystem::exists(f.history()));  // entries() does not create the history
  REQUIRE(schedule.problems.size() == 2);
  CHECK(schedule.problems[0].entry == "bad");
  CHECK(schedule.problems[0].place == file + ":6");
  CHECK(schedule.problems[1].entry == "odd");
  CHECK(schedule.problems[1].place == file + ":15");
  REQUIRE(test::eventually([&] { return !scheduler.tick().runs.empty(); }));
  CHECK(std::filesystem::exists(f.history()));
}

TEST_CASE("a running scheduler reads a changed file, and keeps the entries of one that is broken") {
  Fixture f;
  Events events;
  std::mutex mutex;
  std::vector<std::string> errors;
  const std::string entry = "[[schedule.entry]]\nmodule = 'wins'\nevery = '1s'\n";
  SchedulerOptions options{.from = f.write_file(entry + "name = 'first'\n")};
  events.listen_to(options);
  options.on_error = [&](const Error& error) {
    const std::lock_guard lock(mutex);
    errors.emplace_back(error.what());
  };
  Scheduler scheduler(f.host, options);
  const Running running(scheduler);
  f.write_file(entry + "name = 'second'\n");
  CHECK(test::eventually([&] { return events.has("Succeeded second"); }));
  const auto file = f.write_file("[[schedule.entry]\n");
  CHECK(test::eventually([&] {
    const std::lock_guard lock(mutex);
    return !errors.empty();
  }));
  CHECK(errors.at(0).starts_with(file + ":1: "));
  const auto count = [&] { return scheduler.history().size(); };
  const std::size_t before = count();
  CHECK(test::eventually([&] { return count() > before; }));
}

TEST_CASE("invalid options of a scheduler are refused") {
  Fixture f;
  const auto refused = [&](const SchedulerOptions& options) {
    REQUIRE_ERROR(error, InvalidSchedule, Scheduler(f.host, options));
    return std::string(error.what());
  };
  CHECK(refused({}).find("needs a history") != std::string::npos);
  CHECK(refused({.from = "nowhere.toml"}).find("cannot be read: No such file") != std::string::npos);
  CHECK(refused({.from = f.write_file("[tool]\n")}).find("there is no table [schedule]") !=
        std::string::npos);
  CHECK(
      refused({.from = f.write_file("[schedule]\nform = 'file'\n")}).find("did you mean 'schedule.from'?") !=
      std::string::npos);
  CHECK(
      refused({.history = f.history(), .pool = {.isolation = Isolation::Shared}}).find("worker processes") !=
      std::string::npos);
  CHECK(refused({.from = f.write_file("[schedule]\n"), .entries = {{.name = "a"}}})
            .find("entries of its own") != std::string::npos);
  Scheduler unknown(f.host, {.from = "connection:jobs"});
  REQUIRE_ERROR(error, InvalidSchedule, unknown.tick());
  CHECK_SAYS(error, "there is no connection 'jobs'");
}
