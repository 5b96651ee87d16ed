#include <doctest/doctest.h>
#include <patchlevel.h>  // the version of Python

#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "support.hpp"

using namespace pyhost;
using namespace std::chrono_literals;
using test::over_fixtures;

namespace {

PoolOptions interpreters(std::size_t workers = 2) {
  return {.workers = workers, .isolation = Isolation::Interpreter};
}

}  // namespace

#if PY_VERSION_HEX < 0x030D0000

TEST_CASE("interpreters with their own GIL are refused before Python 3.13") {
  Host host(over_fixtures());
  REQUIRE_ERROR(error, StartupFailed, Pool(host, interpreters()).workers());
  CHECK_SAYS(error, "need Python 3.13 or later, but this is Python " PY_VERSION);
  CHECK_SAYS(error, "use Isolation::Process");
}

#else

TEST_CASE("each interpreter of a pool has its own modules, and keeps them between runs") {
  Host host(over_fixtures());
  Pool pool(host, interpreters(3));
  const Json counts{
      {"first", "import sys, time; sys.count = getattr(sys, 'count', 0) + 1; time.sleep(0.001)"},
      {"give", "[str(id(sys)), sys.count]"}};
  std::map<std::string, int> last;
  int right = 0;
  for (const Outcome& outcome : pool.map("evaluates", std::vector<Json>(300, counts))) {
    REQUIRE(outcome.ok());
    const Json result = outcome.result();
    int& before = last[result[0].get<std::string>()];
    before = std::max(before, result[1].get<int>());
  }
  for (const auto& [interpreter, count] : last) right += count;
  CHECK(last.size() == 3);
  CHECK(right == 300);
  CHECK(test::evaluated(host, "hasattr(sys, 'count')", "import sys") == false);
}

TEST_CASE("the error of an extension for one interpreter names the extension and a remedy") {
  Host host(over_fixtures());
  Pool pool(host, interpreters(1));
  const std::string folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  // A failed import in run() is an exception of the module. At the top of the module it is a failed import.
  const std::string import = "import sys; sys.path.insert(0, '" + folder + "'); import joins";
  REQUIRE_ERROR(late, ModuleRaised, pool.submit("evaluates", {{"first", import}, {"give", "1"}}).get());
  CHECK_SAYS(
      late,
      "'joins', imported by <string>, works in one interpreter only: use the isolation level 'process'");
  pool.submit("evaluates", {{"first", "import sys; sys.path.insert(0, '" + folder + "')"}, {"give", "1"}})
      .get();
  REQUIRE_ERROR(error, ImportFailed, pool.submit("needs_one_interpreter").get());
  CHECK_SAYS(error,
             "'joins', imported by " + (test::fixtures / "modules" / "needs_one_interpreter.py").string());
  CHECK(pool.submit("wins").get() == "second");
}

TEST_CASE("a run that holds its interpreter's GIL does not delay another run's deadline") {
  Host host(over_fixtures());
  Pool pool(host, interpreters(2));
  const Json waits{{"first", "import time; time.sleep(0.01)"}, {"give", "1"}};
  for (const Outcome& outcome : pool.map("evaluates", std::vector<Json>(20, waits))) REQUIRE(outcome.ok());
  const Json adds{{"first", "sum(range(150_000_000))"}, {"give", "1"}};  // runs in C code for some seconds
  auto stuck = pool.submit("evaluates", adds, {.timeout = 20ms});
  auto loops = pool.submit("evaluates", {{"first", "while True: pass"}, {"give", "1"}}, {.timeout = 40ms});
  REQUIRE_ERROR(error, TimedOut, loops.get());
  CHECK(stuck.wait_for(0s) == std::future_status::timeout);
  REQUIRE_ERROR(late, TimedOut, stuck.get());
}

TEST_CASE("a run that holds its interpreter's GIL does not delay another run's cancellation") {
  Host host(over_fixtures());
  std::atomic<int> inside = 0;
  host.services().provide("tell", [&](const Json&) { return ++inside; });
  Pool pool(host, interpreters(2));
  const std::string tell = "from pyhost import services\nservices.tell()\n";
  auto stuck = pool.submit("evaluates", {{"first", tell + "sum(range(150_000_000))"},
                                         {"give", "1"}});  // runs in C code for some seconds
  auto loops = pool.submit("evaluates", {{"first", tell + "while True: pass"}, {"give", "1"}});
  while (inside < 2) std::this_thread::sleep_for(1ms);
  std::this_thread::sleep_for(20ms);
  pool.cancel();
  REQUIRE_ERROR(error, Cancelled, loops.get());
  CHECK(stuck.wait_for(0s) == std::future_status::timeout);
  CHECK(pool.submit("wins").get() == "second");
  REQUIRE_ERROR(late, Cancelled, stuck.get());
}

TEST_CASE("a callback from a pool's interpreter cannot run the host's modules") {
  Host host(over_fixtures());
  Module module = host.load("wins");
  std::optional<Instance> kept = module.create();
  host.services().provide("run", [&](const Json&) -> Json { return host.run("wins"); });
  host.services().provide("create", [&](const Json&) -> Json { return module.create().run(); });
  host.services().provide("drop", [&](const Json&) -> Json {
    kept.reset();
    return "dropped";
  });
  Pool pool(host, interpreters(1));
  Pool other(host, interpreters(1));
  host.services().provide("submit", [&](const Json&) -> Json { return other.submit("wins").get(); });
  const auto asks = [&](const std::string& service) {
    return pool
        .submit("evaluates",
                {{"first", "from pyhost import services"}, {"give", "services." + service + "()"}})
        .get();
  };
  for (const char* service : {"run", "create"}) {
    REQUIRE_ERROR(error, ModuleRaised, asks(service));
    CHECK_SAYS(error, "module 'wins' cannot be used from here: its host is in another interpreter");
  }
  CHECK(asks("drop") == "dropped");
  CHECK(asks("submit") == "second");
  CHECK(host.run("wins") == "second");
}

TEST_CASE("an interpreter with a running thread is leaked when the pool closes") {
  Options options = over_fixtures();
  options.shutdown_timeout = 50ms;
  Host host(std::move(options));
  {
    Pool pool(host, interpreters(2));
    CHECK(pool.submit(
                  "evaluates",
                  {{"first", "import threading, time\nthreading.Thread(target=time.sleep, args=[3]).start()"},
                   {"give", "threading.active_count() > 1"}})
              .get() == true);
  }
  Pool again(host, interpreters(2));
  CHECK(again.submit("wins").get() == "second");
}

TEST_CASE("an interpreter with an idle executor is closed with its pool") {
  Options options = over_fixtures();
  options.shutdown_timeout = 20s;
  Host host(std::move(options));
  const auto count = [&] {
    return test::evaluated(host, "len(_interpreters.list_all())", "import _interpreters");
  };
  const Json before = count();
  {
    Pool pool(host, interpreters(1));
    const std::string leaves =
        "import sys\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "sys.left = ThreadPoolExecutor(1)";
    CHECK(pool.submit("evaluates", {{"first", leaves}, {"give", "sys.left.submit(int).result()"}}).get() ==
          0);
  }
  CHECK(count() == before);
}

TEST_CASE("pools of interpreters can be opened and closed repeatedly") {
  Host host(over_fixtures());
  for (int i = 0; i < 20; ++i) {
    Pool pool(host, interpreters(2));
    CHECK(pool.submit("evaluates", {{"first", "import json, logging, threading"}, {"give", "json.dumps(1)"}})
              .get() == "1");
  }
}

TEST_CASE("a module in its own interpreter can start programs but cannot fork") {
  Host host(over_fixtures());
  Pool pool(host, interpreters(1));
  REQUIRE_ERROR(error, ModuleRaised,
                pool.submit("evaluates", {{"first", "import os; os.fork()"}, {"give", "1"}}).get());
  CHECK_SAYS(error, "fork not supported");
  const Json runs{{"first", "import subprocess"},
                  {"give", "subprocess.run(['echo', 'hi'], capture_output=True).stdout.decode()"}};
  CHECK(pool.submit("evaluates", runs).get() == "hi\n");
}

#endif
