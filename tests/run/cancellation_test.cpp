#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "support.hpp"

using namespace pyhost;
using namespace std::chrono_literals;
using test::evaluated;
using test::fixtures;
using test::ModuleFolder;
using test::over_fixtures;

namespace {

// A deadline that passes while the run is in its loop, even on a busy machine.
RunOptions soon() { return {.timeout = 300ms, .grace = 500ms}; }

Json does(const char* how) { return {{"how", how}}; }

// A host that has loaded the module. Otherwise the deadline could pass during the import on a slow machine.
class HostOfEndless : public Host {
 public:
  HostOfEndless() : Host(over_fixtures()) { load("does_not_end"); }
};

}  // namespace

TEST_CASE("a run that ends before its deadline is not affected by it") {
  Host host(over_fixtures());
  CHECK(host.run("wins", {}, {.timeout = 1h}) == "second");
  CHECK(host.run<std::string>("wins", "{}", {.timeout = 1h}) == "\"second\"");
  const Instance instance = host.load("returns_state").create({{"a", 1}});
  CHECK(instance.run({.timeout = 1h}) == Json{{"a", 1}});
  CHECK(instance.run<std::string>({.timeout = 1h}) == R"({"a":1})");
}

TEST_CASE("a deadline interrupts Python code anywhere, and the module cleans up") {
  HostOfEndless host;
  for (const char* how : {"loop", "sleep", "lock", "regex", "catch_some"}) {
#ifdef PYHOST_SANITIZED  // Python 3.11 leaks a few bytes if a regular expression is interrupted
    if (how == std::string_view("regex")) continue;
#endif
    CAPTURE(how);
    const Instance instance = host.load("does_not_end").create(does(how));
    REQUIRE_ERROR(error, TimedOut, instance.run(soon()));
    CHECK(error.phase() == Phase::Run);
    CHECK(error.module() == "does_not_end");
    CHECK(error.place().function == how);
    CHECK(instance.state()["notes"].back() == "cleaned up");
    CHECK(host.run("wins") == "second");
  }
}

TEST_CASE("the error of a run past its deadline says how the run ended") {
  HostOfEndless host;
  const auto told = [&](const char* how) {
    const auto error = test::error_of([&] { return host.run("does_not_end", does(how), soon()); });
    return error ? std::string(error->what()) : "no error";
  };
  CHECK(told("loop").starts_with("module 'does_not_end' was stopped at its deadline of 0.3 s ("));
  CHECK(told("catch_some").find("it caught pyhost.Stopped") != std::string::npos);
  CHECK(told("listen").find(": it had checked pyhost.cancelled") != std::string::npos);
  CHECK(told("ask").find(": it had checked pyhost.cancelled") != std::string::npos);
  REQUIRE_ERROR(other, TimedOut, host.run("does_not_end", does("raise_another"), soon()));
  CHECK(other.exception().type == "ValueError");
  REQUIRE(other.exception().chain.size() == 1);
  CHECK(other.exception().chain[0].type == "pyhost.Stopped");
}

TEST_CASE("except Exception does not catch a cancellation") {
  Host host(over_fixtures());
  CHECK(evaluated(host, "issubclass(Stopped, BaseException) and not issubclass(Stopped, Exception)",
                  "from pyhost import Stopped") == true);
}

TEST_CASE("a run that waits in C code is not interrupted, and its error says so") {
  HostOfEndless host;
  std::thread([&] {
    REQUIRE_ERROR(error, TimedOut, host.run("does_not_end", does("sleep_for_a_moment"), soon()));
    CHECK_SAYS(error, "in C code");
    CHECK(error.place().function == "sleep_for_a_moment");
    REQUIRE_ERROR(loop, TimedOut, host.run("does_not_end", does("loop"), soon()));
    CHECK(host.run("wins") == "second");
  }).join();
}

TEST_CASE("on_stuck is called with the place of a run that continues after its grace period") {
  HostOfEndless host;
  std::thread([&] {
    std::atomic<int> calls = 0;
    std::string said;
    RunOptions options{.timeout = 300ms, .grace = 50ms};
    options.on_stuck = [&](const Error& error) {
      ++calls;
      said = error.what();
    };
    REQUIRE_ERROR(error, TimedOut, host.run("does_not_end", does("sleep_for_a_moment"), options));
    CHECK(calls == 1);
    CHECK(said.find("in C code") != std::string::npos);
    CHECK(said.find("in sleep_for_a_moment") != std::string::npos);
  }).join();
}

TEST_CASE("trace and profile functions work after a cancelled run") {
  HostOfEndless host;
  // A cancellation that C code has not let through is withdrawn at the end of the run.
  std::thread([&] {
    REQUIRE_ERROR(late, TimedOut, host.run("does_not_end", does("sleep_for_a_moment"), soon()));
    CHECK(evaluated(host, "sys.setprofile(None) or calls",
                    "import sys\ncalls = []\n"
                    "def note(frame, event, what): calls.append(event) if event == 'call' else None\n"
                    "sys.setprofile(note)\n(lambda: 0)()\n") != Json::array());
  }).join();
  REQUIRE_ERROR(error, TimedOut, host.run("does_not_end", does("loop"), soon()));
  CHECK(evaluated(host, "sys.settrace(None) or lines",
                  "import sys\nlines = []\n"
                  "def note(frame, event, what): lines.append(event); return note\n"
                  "sys.settrace(note)\n(lambda: 0)()\n") != Json::array());
}

TEST_CASE("a deadline that passes between two runs affects neither") {
  Host host(over_fixtures());
  const Instance instance = host.load("returns_state").create();
  for (int i = 0; i < 300; ++i) {
    const auto error = test::error_of([&] { return instance.run({.timeout = 0ms}); });
    if (error) CHECK(to_string(error->kind()) == "TimedOut");
    CHECK(instance.run() == Json::object());
    CHECK(evaluated(host, "sum(range(1000))") == 499500);
  }
}

TEST_CASE("the deadline of Host::run includes import and create") {
  const ModuleFolder folder;
  folder.write("endless.py", "while True: pass\n");
  Host host(folder.options());
  REQUIRE_ERROR(error, TimedOut, host.run("endless", {}, soon()));
  CHECK(error.phase() == Phase::Import);
  CHECK(host.run("wins") == "second");
}

TEST_CASE("a stop token cancels a run") {
  HostOfEndless host;
  std::stop_source source;
  std::thread stopper([&] {
    std::this_thread::sleep_for(500ms);
    source.request_stop();
  });
  REQUIRE_ERROR(error, Cancelled, host.run("does_not_end", does("sleep"), {.stop = source.get_token()}));
  CHECK_SAYS(error, "was cancelled");
  stopper.join();
  CHECK(host.run("wins", {}, {.stop = std::stop_source().get_token()}) == "second");
}

TEST_CASE("a run that is cancelled before its start is not started, and its error says so") {
  HostOfEndless host;
  std::stop_source source;
  source.request_stop();
  REQUIRE_ERROR(cancelled, Cancelled, host.run("does_not_end", does("loop"), {.stop = source.get_token()}));
  CHECK_SAYS(cancelled, "was cancelled");
  for (const auto timeout : {0ms, -1ms, std::chrono::milliseconds::min()}) {
    REQUIRE_ERROR(late, TimedOut, host.run("does_not_end", does("loop"), {.timeout = timeout}));
    CHECK_SAYS(late, "was stopped: its deadline of 0 s had passed");
  }
  CHECK(host.run("wins", {}, {.timeout = std::chrono::milliseconds::max()}) == "second");
}

TEST_CASE("a cancelled module has half of the grace period to clean up") {
  HostOfEndless host;
  const RunOptions options{.timeout = 300ms, .grace = test::patience};
  const Instance instance = host.load("does_not_end").create(does("clean_up"));
  REQUIRE_ERROR(error, TimedOut, instance.run(options));
  CHECK(instance.state()["notes"].front() == "all of it");
}

TEST_CASE("cancel cancels the run with an id, and cancel_all every run") {
  std::atomic<RunId> running = 0;
  Host host({.module_paths = {fixtures}, .callbacks = {.on_event = [&](const Event& event) {
                                           if (event.kind == EventKind::RunStarted) running = event.run;
                                         }}});
  for (const bool all : {false, true}) {
    running = 0;
    std::thread runner([&] { REQUIRE_ERROR(error, Cancelled, host.run("does_not_end", does("loop"))); });
    while (running == 0) std::this_thread::sleep_for(1ms);
    CHECK((all ? host.cancel_all() == 1 : host.cancel(running)));
    runner.join();
  }
  CHECK_FALSE(host.cancel(running));
  CHECK(host.cancel_all() == 0);
}

TEST_CASE("pyhost.cancelled is set for the cancelled run only") {
  HostOfEndless host;
  const std::string set = "from pyhost import cancelled";
  CHECK(evaluated(host, "cancelled.is_set() or cancelled.wait(0.001)", set) == false);
  REQUIRE_ERROR(nan, ModuleRaised, evaluated(host, "cancelled.wait(float('nan'))", set));
  CHECK(nan.exception().type == "ValueError");
  std::thread([&] {
    REQUIRE_ERROR(error, TimedOut, host.run("does_not_end", does("listen"), soon()));
  }).join();
  CHECK(evaluated(host, "cancelled.is_set()", set) == false);
}

TEST_CASE("a run without a timeout on the main thread is cancelled while it waits") {
  std::atomic<RunId> running = 0;
  Host host({.module_paths = {fixtures}, .callbacks = {.on_event = [&](const Event& event) {
                                           if (event.kind == EventKind::RunStarted) running = event.run;
                                         }}});
  std::thread stopper([&] {
    while (running == 0) std::this_thread::sleep_for(1ms);
    while (!host.cancel(running)) std::this_thread::sleep_for(1ms);
  });
  REQUIRE_ERROR(error, Cancelled, host.run("does_not_end", does("sleep")));
  stopper.join();
}

TEST_CASE("a module's on_error is part of its run, and is cancelled with it") {
  const ModuleFolder folder;
  folder.write("handles_for_ever.py",
               "def on_error(error):\n    while True: pass\n"
               "class Module:\n    def run(self): raise ValueError('the reason')\n"
               "def create(state): return Module()\n");
  Host host(folder.options());
  host.load("handles_for_ever");
  REQUIRE_ERROR(error, ModuleRaised, host.run("handles_for_ever", {}, {.timeout = 1s}));
  CHECK(error.exception().message == "the reason");
  REQUIRE(error.exception().notes.size() == 1);
  CHECK(error.exception().notes[0].starts_with("its on_error failed: pyhost.Stopped"));
}

TEST_CASE("an async run that suppresses its cancellation is cancelled again") {
  const ModuleFolder folder;
  folder.write("swallows.py",
               "import asyncio\n"
               "class Module:\n"
               "    async def run(self):\n"
               "        for _ in range(2):\n"
               "            try: await asyncio.sleep(1000)\n"
               "            except asyncio.CancelledError: pass\n"
               "        await asyncio.sleep(1000)\n"
               "def create(state): return Module()\n");
  Host host(folder.options());
  host.load("swallows");
  std::thread([&] { REQUIRE_ERROR(error, TimedOut, host.run("swallows", {}, soon())); }).join();
}

TEST_CASE("a run that is stuck in a __del__ is not reported as stuck in C code") {
  const ModuleFolder folder;
  folder.write("dies_slowly.py",
               "import time\n"
               "class Slow:\n"
               "    def __del__(self):\n"
               "        end = time.monotonic() + 3\n"
               "        while time.monotonic() < end: pass\n"
               "class Module:\n"
               "    def run(self): return Slow()\n"
               "def create(state): return Module()\n");
  Host host(folder.options());
  host.load("dies_slowly");
  std::string said;
  RunOptions options{.timeout = 1s, .grace = 100ms};
  options.on_stuck = [&](const Error& error) { said = error.what(); };
  REQUIRE_ERROR(error, InvalidResult, host.run("dies_slowly", {}, options));
  CHECK(said.find("in code that is never interrupted, such as a __del__") != std::string::npos);
}

TEST_CASE("a deadline that passes before a run begins is reported to the observers") {
  std::vector<std::string> said;
  Host host(
      {.module_paths = {fixtures},
       .callbacks = {.on_error = [&](const Error& error) { said.push_back("error " + error.module()); },
                     .on_event = [&](const Event& event) { said.emplace_back(to_string(event.kind)); }}});
  REQUIRE_ERROR(error, TimedOut, host.run("wins", {}, {.timeout = 0ms}));
  CHECK(said == std::vector<std::string>{"Failed", "error wins"});
}

TEST_CASE("pyhost.cancelled is true in a condition only if the run is cancelled") {
  Host host(over_fixtures());
  CHECK(evaluated(host, "bool(cancelled)", "from pyhost import cancelled") == false);
  const Json waits{{"first",
                    "from pyhost import cancelled\nimport sys, time\n"
                    "while not cancelled: time.sleep(0.001)\nsys.told = ['saw it']"},
                   {"give", "1"}};
  REQUIRE_ERROR(error, TimedOut, host.run("evaluates", waits, {.timeout = 20ms, .grace = test::patience}));
  CHECK(test::told(host) == std::vector<std::string>{"saw it"});
}
