#include <doctest/doctest.h>

#include <chrono>
#include <memory>

#include "support.hpp"

using namespace pyhost;
using namespace std::chrono_literals;
using test::ModuleFolder;

namespace {

// Each step of the module's life cycle records current_run().
constexpr const char* sees_its_run = R"(
import asyncio
import sys
import threading

import pyhost

def seen():
    run = pyhost.current_run()
    if run is None:
        return None
    due = run.scheduled and [run.scheduled.entry, run.scheduled.due.isoformat(), run.scheduled.attempt]
    return [run.module, due]

def note(where):
    sys.told = [*getattr(sys, "told", []), f"{where} {seen()}"]

def on_load():
    note("on_load")

class Sees:
    def __init__(self, state):
        self.how = state.get("how", "here")

    def run(self):
        return getattr(self, self.how)()

    def here(self):
        note("run")
        return seen()

    def on_a_thread(self):
        found = []
        thread = threading.Thread(target=lambda: found.append(seen()))
        thread.start()
        thread.join()
        return found[0]

    async def asynchronous(self):
        await asyncio.sleep(0)
        return (await asyncio.gather(asyncio.sleep(0, 1), task()))[1]

    def stream(self):
        yield seen()
        yield seen()

    async def async_stream(self):
        for _ in range(2):
            await asyncio.sleep(0)
            yield seen()

    def around(self):
        return [pyhost.services.inner(), seen()]

    def close(self):
        note("close")

async def task():
    await asyncio.sleep(0)
    return seen()

def create(state):
    note("create")
    return Sees(state)
)";

// Due at 2026-10-25 00:30:00.000007 UTC. Python sees microseconds, but no smaller units.
std::shared_ptr<const Scheduled> nightly(int attempt = 1) {
  return std::make_shared<const Scheduled>(
      Scheduled{"nightly ü", std::chrono::system_clock::time_point(1'792'888'200s + 7us), attempt});
}

const Json seen{"sees", {"nightly ü", "2026-10-25T00:30:00.000007+00:00", 2}};
const Json not_scheduled{"sees", nullptr};

Json how(const char* name) { return {{"how", name}}; }

}  // namespace

TEST_CASE("a scheduled run knows its entry, due time and attempt in each step of its life cycle") {
  const ModuleFolder folder;
  folder.write("sees.py", sees_its_run);
  Host host(folder.options());
  CHECK(host.run("sees", {}, {.scheduled = nightly(2)}) == seen);
  const std::string in_words = " ['sees', ['nightly ü', '2026-10-25T00:30:00.000007+00:00', 2]]";
  CHECK(test::told(host) == std::vector<std::string>{"on_load" + in_words, "create" + in_words,
                                                     "run" + in_words, "close" + in_words});
  CHECK(host.run("sees") == not_scheduled);
}

TEST_CASE("each run of an instance is scheduled separately") {
  const ModuleFolder folder;
  folder.write("sees.py", sees_its_run);
  Host host(folder.options());
  const Instance instance = host.load("sees").create();
  CHECK(instance.run({.scheduled = nightly(2)}) == seen);
  CHECK(instance.run() == not_scheduled);
  CHECK(instance.run({.timeout = 1min, .scheduled = nightly(2)}) == seen);
}

TEST_CASE("async runs and all items of a stream are scheduled, but threads of the module are not in a run") {
  const ModuleFolder folder;
  folder.write("sees.py", sees_its_run);
  Host host(folder.options());
  CHECK(host.run("sees", how("asynchronous"), {.scheduled = nightly(2)}) == seen);
  CHECK(host.run("sees", how("on_a_thread"), {.scheduled = nightly(2)}) == nullptr);
  for (const char* form : {"stream", "async_stream"}) {
    CAPTURE(form);
    CHECK(host.run("sees", how(form), {.scheduled = nightly(2)}) == Json::array({seen, seen}));
    for (const Json& item : host.stream("sees", how(form), {.scheduled = nightly(2)})) CHECK(item == seen);
    const Instance instance = host.load("sees").create(how(form));
    for (const Json& item : instance.stream({.scheduled = nightly(2)})) CHECK(item == seen);
    for (const Json& item : instance.stream()) CHECK(item == not_scheduled);
  }
}

TEST_CASE("a run nested in a scheduled run is not scheduled") {
  const ModuleFolder folder;
  folder.write("sees.py", sees_its_run);
  Host host(folder.options());
  host.services().provide("inner", [&](const Json&) { return host.run("sees"); });
  CHECK(host.run("sees", how("around"), {.scheduled = nightly(2)}) == Json::array({not_scheduled, seen}));
}
