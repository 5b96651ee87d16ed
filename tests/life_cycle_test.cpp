#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "support.hpp"

using namespace pyhost;
using test::evaluated;
using test::fixtures;
using test::over_fixtures;
using test::told;

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
  Host host({.module_paths = {fixtures}, .on_event = [&](const Event& event) {
               if (event.kind == EventKind::Unloaded) return;
               ++told;
               CHECK(running->run("returns_state", {{"a", 1}}) == Json{{"a", 1}});
               throw std::runtime_error("of no interest");
             }});
  running = &host;
  CHECK(host.run("wins") == "second");
  CHECK(told == 5);
}

TEST_CASE("a module is told when it is loaded and unloaded, and its objects when they are given up") {
  Host host(over_fixtures());
  told(host);
  const Module module = host.load("tells_of_its_life");
  CHECK(told(host) == Lines{"load"});
  host.run("tells_of_its_life");
  CHECK(told(host) == Lines{"run it", "close it"});
  REQUIRE_ERROR(error, ModuleRaised, host.run("tells_of_its_life", {{"raises", true}}));
  CHECK(told(host) == Lines{"run it", "close it"});
  {
    const Instance first = module.create({{"name", "first"}});
    const Instance same = first;
    first.run();
    CHECK(told(host) == Lines{"run first"});
  }
  CHECK(told(host) == Lines{"close first"});
  Instance open = module.create({{"name", "open"}});
  std::thread([moved = module.create({{"name", "elsewhere"}})] {}).join();
  CHECK(told(host) == Lines{"close elsewhere"});
  CHECK(host.unload("tells_of_its_life"));
  CHECK(told(host) == Lines{"close open", "unload"});
  REQUIRE_ERROR(run, HostClosed, open.run());
  REQUIRE_ERROR(create, HostClosed, module.create());
  CHECK_SAYS(create, "has been unloaded");
  CHECK_FALSE(host.unload("tells_of_its_life"));
  CHECK(evaluated(host, "'modules.tells_of_its_life' in sys.modules or hasattr(modules, 'tells_of_its_life')",
                  "import sys, modules") == false);
  host.run("tells_of_its_life");
  CHECK(told(host) == Lines{"load", "run it", "close it"});
}

TEST_CASE("close() gives an object up for all its handles, once") {
  Host host(over_fixtures());
  told(host);
  Instance instance = host.load("tells_of_its_life").create();
  const Instance same = instance;
  instance.close();
  CHECK(told(host) == Lines{"load", "close it"});
  REQUIRE_ERROR(again, HostClosed, [&] { return instance.close(), 0; }());
  REQUIRE_ERROR(run, HostClosed, same.run());
  CHECK_SAYS(run, "has been closed");
  REQUIRE_ERROR(state, HostClosed, same.state());
}

TEST_CASE("a context manager is entered after create, and left with what its run raised") {
  Host host(over_fixtures());
  told(host);
  CHECK(host.run("is_a_context_manager", {{"by", 2}}) == 0.5);
  CHECK(told(host) == Lines{"enter", "exit None"});
  REQUIRE_ERROR(error, ModuleRaised, host.run("is_a_context_manager", {{"by", 0}}));
  CHECK(error.exception().type == "ZeroDivisionError");
  CHECK(told(host) == Lines{"enter", "exit ZeroDivisionError"});
}

TEST_CASE("closing a host unloads its modules, the last loaded first, and closes what is open") {
  Recorder recorder;
  std::optional<Instance> outlives;
  {
    Host host({.module_paths = {fixtures}, .on_event = recorder.function()});
    outlives = host.load("tells_of_its_life").create();
    host.load("wins");
    recorder.said.clear();
  }
  CHECK(recorder.said == Lines{"Unloaded wins", "Closed tells_of_its_life", "Unloaded tells_of_its_life"});
  outlives.reset();
  Host next(over_fixtures());
  CHECK(told(next).back() == "unload");
}

TEST_CASE("if on_load raises, the module is not loaded and nothing of it stays") {
  Recorder recorder;
  Host host({.module_paths = {fixtures}, .on_event = recorder.function()});
  for (int i = 0; i < 2; ++i) {
    REQUIRE_ERROR(error, ImportFailed, host.run("raises_in_on_load"));
    CHECK(error.exception().type == "ConnectionError");
    CHECK(error.place().line == 14);
    CHECK_SAYS(error, "its on_load raised ConnectionError: no database there");
    CHECK(recorder.said.back() == "Failed raises_in_on_load in import");
    CHECK(evaluated(host,
                    "'modules.raises_in_on_load' in sys.modules or hasattr(modules, 'raises_in_on_load')",
                    "import sys, modules") == false);
  }
}

TEST_CASE("on_load, close and on_unload may be async") {
  {
    Host host(over_fixtures());
    CHECK(host.run("has_an_async_life") == "loaded");
  }
  Host next(over_fixtures());
  CHECK(told(next) == Lines{"closed", "unloaded"});
}

TEST_CASE("an on_load keeps nobody from other modules, and may run its own") {
  std::atomic<bool> inside = false, open = false;
  Host host(over_fixtures());
  host.provide("gate", [&](const Json&) -> Json {
    const Json mine = host.run("asks_in_on_load");
    inside = true;
    while (!open) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return mine;
  });
  std::thread loads([&] { CHECK(host.run("asks_in_on_load") == Json{"done", 1}); });
  while (!inside) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  CHECK(host.run("wins") == "second");
  REQUIRE_ERROR(error, TimedOut,
                host.run("asks_in_on_load", {}, {.timeout = std::chrono::milliseconds(100)}));
  open = true;
  loads.join();
  CHECK(host.run("asks_in_on_load") == Json{"done", 1});
}

TEST_CASE("a handle that has been moved from says so") {
  Host host(over_fixtures());
  Module module = host.load("wins");
  Instance instance = module.create();
  CHECK(std::move(instance).run() == "second");
  REQUIRE_ERROR(used, HostClosed, instance.run());
  CHECK_SAYS(used, "moved from");
  REQUIRE_ERROR(closed, HostClosed, instance.close());
  const Module other = std::move(module);
  REQUIRE_ERROR(moved, HostClosed, module.create());
  CHECK(module.name().empty());
  Stream stream = host.stream("wins");
  const Stream to = std::move(stream);
  CHECK_FALSE(stream.next().has_value());
  stream.close();
}

TEST_CASE("what close and on_unload raise is told, and stops nothing") {
  std::vector<std::string> errors;
  const auto note = [&](const Error& error) {
    errors.push_back(std::string(to_string(error.phase())) + ": " + error.exception().message);
  };
  {
    Host host({.module_paths = {fixtures}, .on_error = note});
    REQUIRE_ERROR(error, ModuleRaised, host.run("raises_in_the_end"));
    CHECK_SAYS(error, "cannot close");
    const Instance kept = host.load("raises_in_the_end").create();
    CHECK(kept.run() == "done");
  }
  CHECK(errors == Lines{"close: cannot close", "close: cannot close", "close: cannot unload"});
}

TEST_CASE("an on_unload that hangs does not hang the host") {
  std::vector<std::string> errors;
  {
    Host host({.module_paths = {fixtures},
               .on_error = [&](const Error& error) { errors.emplace_back(to_string(error.kind())); },
               .shutdown_timeout = std::chrono::milliseconds(50)});
    host.load("hangs_in_on_unload");
  }
  CHECK(errors == Lines{"TimedOut"});
}

TEST_CASE("a state is given back as the module left it") {
  Host host(over_fixtures());
  const Instance instance = host.load("keeps_its_state").create(R"({"z": 12345678901234567890123, "a": 1})");
  instance.run();
  CHECK(instance.state_text() == R"({"z":12345678901234567890123,"a":1,"seen":1})");
  CHECK(host.load("keeps_its_state").create({{"a", 1}}).state() == Json{{"a", 1}});
  const Instance odd = host.load("evaluates").create({{"give", "state.update(odd={1})"}});
  odd.run();
  REQUIRE_ERROR(error, InvalidState, odd.state());
  CHECK(error.pointer() == "/odd");
}
