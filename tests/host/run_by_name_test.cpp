// Host::run takes a shorter way if the module is loaded and nothing observes the run. Both ways must behave
// alike.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "support.hpp"

using namespace pyhost;
using test::ModuleFolder;
using test::told;

namespace {

// Notes each step of its life, and whether the step is in the run of the first one.
constexpr const char* notes_its_life = R"(
import sys

import pyhost

first = None

def note(what):
    global first
    run = pyhost.current_run().id
    first = run if what == "create" else first
    sys.told = [*getattr(sys, "told", []), what if run == first else f"{what} in another run"]

class Module:
    def __init__(self, how):
        self.how = how

    def __enter__(self):
        note("enter")
        return self

    def __exit__(self, kind, value, traceback):
        note(f"exit {kind and kind.__name__}")
        if self.how == "fails to exit":
            raise OSError("cannot exit")

    def __del__(self):
        sys.told.append("del")

    def run(self):
        note("run")
        if self.how == "fails":
            raise ValueError("cannot run")
        if self.how == "nests":
            return [pyhost.services.inner(), pyhost.current_run().id == first]
        return {1} if self.how == "gives a set" else self.items() if self.how == "yields" else None

    def items(self):
        yield self.how

def create(state):
    note("create")
    if state["how"] == "fails to create":
        raise KeyError("cannot create")
    return Module(state["how"])
)";

// Runs the module by name. Returns the notes of the module, then the result or the error, then the number of
// errors that on_error got.
std::vector<std::string> outcome_of(Host& host, const Json& how, int& errors) {
  errors = 0;
  std::string outcome;
  try {
    outcome = host.run<std::string>("notes_its_life", {{"how", how}});
  } catch (const Error& error) {
    outcome = error.rendered();
  }
  std::vector<std::string> seen = told(host);
  seen.push_back(outcome);
  seen.push_back(std::to_string(errors) + " errors");
  return seen;
}

}  // namespace

TEST_CASE("a run by name behaves alike if its module is loaded already, and if it is observed") {
  const ModuleFolder folder;
  folder.write("notes_its_life.py", notes_its_life);
  for (const char* how :
       {"works", "fails to create", "fails", "fails to exit", "gives a set", "yields", "nests"}) {
    CAPTURE(how);
    std::vector<std::vector<std::string>> outcomes;
    for (const bool observed : {false, true}) {
      int errors = 0;
      Options options = folder.options();
      options.callbacks.on_error = [&](const Error&) { ++errors; };
      if (observed) options.callbacks.on_event = [](const Event&) {};
      Host host(options);
      host.services().provide("inner", [&](const Json&) { return host.run("returns_state"); });
      told(host);
      for (int i = 0; i < 3; ++i) outcomes.push_back(outcome_of(host, how, errors));
    }
    for (const auto& outcome : outcomes) CHECK(outcome == outcomes.front());
  }
}

TEST_CASE("a run within a run by name has another number") {
  const ModuleFolder folder;
  folder.write("numbers.py",
               "import pyhost\n"
               "class Module:\n"
               "  def run(self):\n"
               "    here = pyhost.current_run().id\n"
               "    return [here] if self.leaf else [here, *pyhost.services.inner()]\n"
               "def create(state):\n"
               "  module = Module(); module.leaf = 'leaf' in state; return module\n");
  Host host(folder.options());
  host.services().provide("inner", [&](const Json&) { return host.run("numbers", {{"leaf", true}}); });
  for (int i = 0; i < 2; ++i) {
    const Json numbers = host.run("numbers");
    CHECK(numbers.at(0) != numbers.at(1));
  }
}

TEST_CASE("a run by name can be cancelled, and its deadline includes create, also if its module is loaded") {
  const ModuleFolder folder;
  folder.write("waits_in.py",
               "import time\n"
               "class Module:\n"
               "  def run(self): return 1\n"
               "def create(state):\n"
               "  while state.get('waits'): time.sleep(0.001)\n"
               "  return Module()\n");
  Host host(folder.options());
  CHECK(host.run("waits_in") == 1);
  const Json waiting{{"waits", true}};
  REQUIRE_ERROR(late, TimedOut, host.run("waits_in", waiting, {.timeout = std::chrono::milliseconds(30)}));
  CHECK(late.phase() == Phase::Create);
  std::thread cancels([&] { CHECK(test::eventually([&] { return host.cancel_all() > 0; })); });
  REQUIRE_ERROR(cancelled, Cancelled, host.run("waits_in", waiting));
  cancels.join();
  CHECK(host.run("waits_in") == 1);
}
