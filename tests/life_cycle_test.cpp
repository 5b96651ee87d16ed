#include <doctest/doctest.h>

#include <algorithm>
#include <thread>

#include "support.hpp"

using namespace pyhost;
using test::fixtures;
using test::over_fixtures;

namespace {

// What on_event was told, as "kind module", with the phase of what failed.
struct Recorder {
  std::vector<std::string> said = {};
  std::vector<RunId> runs = {};

  std::function<void(const Event&)> function() {
    return [this](const Event& event) {
      std::string line = std::string(to_string(event.kind)) + " " + std::string(event.module);
      if (event.error != nullptr) line += " in " + std::string(to_string(event.error->phase()));
      said.push_back(line);
      runs.push_back(event.run);
      CHECK(event.seconds.count() >= 0);
      CHECK(event.start <= std::chrono::system_clock::now());
      CHECK((event.error != nullptr) == (event.kind == EventKind::Failed));
    };
  }

  bool one_run() const {
    return std::ranges::all_of(runs, [&](RunId id) { return id == runs.front(); });
  }
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("on_event sees a module from its being found to the end of its run, under one number") {
  Recorder recorder;
  Host host({.module_paths = {fixtures}, .on_event = recorder.function()});
  host.run("wins");
  CHECK(recorder.said ==
        Lines{"Found wins", "Imported wins", "Created wins", "RunStarted wins", "RunEnded wins"});
  CHECK(recorder.one_run());
  const RunId first = recorder.runs.front();
  CHECK(first > 0);
  recorder.said.clear();
  recorder.runs.clear();
  host.run_text("wins", "{}");
  CHECK(recorder.said == Lines{"Created wins", "RunStarted wins", "RunEnded wins"});
  CHECK(recorder.one_run());
  CHECK(recorder.runs.front() != first);
}

TEST_CASE("what is created and run apart has a number for each") {
  Recorder recorder;
  Host host({.module_paths = {fixtures}, .on_event = recorder.function()});
  const Instance instance = host.load("wins").create();
  instance.run();
  instance.run();
  REQUIRE(recorder.runs.size() == 7);
  CHECK(recorder.runs[0] == recorder.runs[1]);  // found, imported
  CHECK(recorder.runs[1] != recorder.runs[2]);  // created
  CHECK(recorder.runs[2] != recorder.runs[3]);
  CHECK(recorder.runs[3] == recorder.runs[4]);  // run
  CHECK(recorder.runs[4] != recorder.runs[5]);
}

TEST_CASE("on_event sees each failure once, with its error") {
  Recorder recorder;
  Host host({.module_paths = {fixtures}, .on_event = recorder.function()});
  REQUIRE_ERROR(missing, ModuleNotFound, host.run("no_such_module"));
  REQUIRE_ERROR(import, ImportFailed, host.run("raises_in_import"));
  REQUIRE_ERROR(create, ModuleRaised, host.run("raises_in_create"));
  REQUIRE_ERROR(result, InvalidResult, host.run("gives_a_set"));
  CHECK(recorder.said == Lines{"Failed no_such_module in find", "Found raises_in_import",
                               "Failed raises_in_import in import", "Found raises_in_create",
                               "Imported raises_in_create", "Failed raises_in_create in create",
                               "Found gives_a_set", "Imported gives_a_set", "Created gives_a_set",
                               "RunStarted gives_a_set", "Failed gives_a_set in result"});
}

TEST_CASE("an on_event that throws harms nothing, and one that runs a module hears nothing of that") {
  int told = 0;
  Host* running = nullptr;
  Host host({.module_paths = {fixtures}, .on_event = [&](const Event&) {
               ++told;
               CHECK(running->run("returns_state", {{"a", 1}}) == Json{{"a", 1}});
               throw std::runtime_error("of no interest");
             }});
  running = &host;
  CHECK(host.run("wins") == "second");
  CHECK(told == 5);
}
