#include <doctest/doctest.h>
#include <patchlevel.h>  // the version of Python

#include <atomic>
#include <cmath>
#include <deque>
#include <mutex>
#include <ranges>
#include <set>
#include <thread>

#include "pool/pool_data.hpp"
#include "support.hpp"

using namespace pyhost;
using namespace std::chrono_literals;
using test::over_fixtures;

namespace {

// Tests that use on_every_level run once for each of these.
#if PY_VERSION_HEX >= 0x030D0000
const std::vector<Isolation> levels{Isolation::Shared, Isolation::Interpreter, Isolation::Process};
#else
const std::vector<Isolation> levels{Isolation::Shared, Isolation::Process};
#endif

PoolOptions at(Isolation level, std::size_t workers = 2) { return {.workers = workers, .isolation = level}; }

template <class Test>
void on_every_level(Test test) {
  for (const Isolation level : levels) {
    CAPTURE(to_string(level));
    test(level);
  }
}

std::vector<Json> numbered(int count) {
  std::vector<Json> states;
  for (int i = 0; i < count; ++i) states.push_back({{"i", i}});
  return states;
}

// The error as JSON, for comparison. Null if there is no error.
Json told_by(const std::optional<Error>& error) { return error ? error->to_json() : Json(); }

// A service that counts its callers and blocks them until open() is called.
class Gate {
 public:
  explicit Gate(Host& host) {
    host.services().provide("gate", [this](const Json&) -> Json {
      ++inside_;
      while (!open_) std::this_thread::sleep_for(1ms);
      return "through";
    });
  }
  void wait_for(int count) const {
    while (inside_ < count) std::this_thread::sleep_for(1ms);
  }
  void open() { open_ = true; }

 private:
  std::atomic<int> inside_ = 0;
  std::atomic<bool> open_ = false;
};

const Json asks_gate{{"first", "from pyhost import services"}, {"give", "services.gate()"}};
const Json loops{{"how", "loop"}};

}  // namespace

TEST_CASE("a pool returns the result of each state, however many there are") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    Pool pool(host, at(level));
    CHECK(pool.submit("wins").get() == "second");
    CHECK(pool.submit<std::string>("returns_state", R"({"b":1,"a":123456789012345678901234567890})").get() ==
          R"({"b":1,"a":123456789012345678901234567890})");
    CHECK(pool.submit("returns_state", R"({"b":1})").get() == Json{{"b", 1}});
    CHECK(pool.submit<std::string>("returns_state", {{"ü", {1, 2.5, nullptr, "x"}}}).get() ==
          R"({"ü":[1,2.5,null,"x"]})");
    std::vector<std::future<Json>> futures;
    for (int i = 0; i < 2000; ++i) futures.push_back(pool.submit("returns_state", Json{{"i", i}}));
    int right = 0;
    for (int i = 0; i < 2000; ++i)
      right += futures[static_cast<std::size_t>(i)].get() == Json{{"i", i}} ? 1 : 0;
    CHECK(right == 2000);
  });
}

TEST_CASE("a pool has one worker per core by default") {
  Host host(over_fixtures());
  const Pool pool(host);
  CHECK(pool.workers() >= 1);
  CHECK(pool.workers() <= std::max(1U, std::thread::hardware_concurrency()));
}

TEST_CASE("a run in a pool fails with the same error as a run by the host") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    Pool pool(host, at(level));
    const auto same = [&](const char* name, const Json& state) {
      CAPTURE(name);
      const auto ours = test::error_of([&] { return pool.submit(name, state).get(); });
      REQUIRE(ours.has_value());
      CHECK(told_by(ours) == told_by(test::error_of([&] { return host.run(name, state); })));
    };
    for (const char* name : {"no_such_module", "not/a/name", "raises_in_import", "has_no_create",
                             "raises_in_create", "gives_a_set", "raises_with_a_cause", "raises_a_group"}) {
      same(name, {});
    }
    same("raises_in_run", {{"what", "exit"}});
    same("returns_state", {1, 2});
    same("returns_state", "a string is no state");
    same("returns_state", {{"a", {1, NAN}}});
    same("returns_state", {{"a", {{"b", "\xff"}}}});
    same("returns_state", {{"\xff", 1}});
    same("returns_state", {{"a", Json::binary({1, 2})}});
    same("evaluates", {{"give", "{'a': [2 ** 64]}"}});
    Json deep = Json::object();
    for (int i = 0; i < 1000; ++i) deep = {{"a", std::move(deep)}};
    same("returns_state", deep);
    const auto text = [&](auto run) { return told_by(test::error_of(run)); };
    CHECK(text([&] { return pool.submit("returns_state", "{\n\"a\": }").get(); }) ==
          text([&] { return host.run("returns_state", "{\n\"a\": }"); }));
  });
}

TEST_CASE("a scheduled run in a pool knows its entry and due time, and the next run does not") {
  using std::chrono::system_clock;
  const Json sees{
      {"first", "import pyhost; for_what = pyhost.current_run().scheduled"},
      {"give", "for_what and [for_what.entry, str(for_what.due), for_what.attempt, state.get('x')]"}};
  on_every_level([&](Isolation level) {
    Host host(over_fixtures());
    Pool pool(host, at(level, 1));
    std::vector<std::future<Json>> futures;
    const auto submit = [&](const Json& state, int second) {
      const Scheduled scheduled{"every ü", system_clock::time_point(std::chrono::seconds(second) + 5us),
                                second};
      futures.push_back(
          pool.submit("evaluates", state, {.scheduled = std::make_shared<const Scheduled>(scheduled)}));
      futures.push_back(pool.submit("evaluates", state));
    };
    for (int i = 1; i <= 20; ++i) submit(sees, i);
    Json large = sees;
    large["x"] = std::string(200'000, 'x');  // large states are sent without a copy
    submit(large, 21);
    for (int i = 1; i <= 21; ++i) {
      const Json seen = futures[static_cast<std::size_t>(2 * i - 2)].get();
      const std::string seconds = (i < 10 ? "0" : "") + std::to_string(i);
      CHECK(seen == Json{"every ü", "1970-01-01 00:00:" + seconds + ".000005+00:00", i,
                         i == 21 ? large["x"] : Json()});
      CHECK(futures[static_cast<std::size_t>(2 * i - 1)].get() == nullptr);
    }
  });
}

TEST_CASE("runs in a pool call the host's services") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    std::atomic<int> calls = 0;
    host.services().provide("twice", [&](const Json& arguments) -> Json {
      ++calls;
      return 2 * arguments["i"].get<int>();
    });
    host.services().provide("fails", [](const Json&) -> Json { throw std::runtime_error("no market"); });
    Pool pool(host, at(level));
    const std::string import = "from pyhost import services";
    std::vector<std::future<Json>> futures;
    for (int i = 0; i < 50; ++i) {
      futures.push_back(pool.submit(
          "evaluates", Json{{"first", import}, {"give", "services.twice(i=" + std::to_string(i) + ")"}}));
    }
    for (int i = 0; i < 50; ++i) CHECK(futures[static_cast<std::size_t>(i)].get() == 2 * i);
    CHECK(calls == 50);
    REQUIRE_ERROR(error, ModuleRaised,
                  pool.submit("evaluates", Json{{"first", import}, {"give", "services.fails()"}}).get());
    CHECK(error.exception().type == "pyhost.ServiceError");
    CHECK_SAYS(error, "no market");
  });
}

TEST_CASE("discarded Json from a service is the same error on every level") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    host.services().provide("reads", [](const Json&) { return Json::parse("{", nullptr, false); });
    host.services().provide("holds",
                            [](const Json&) -> Json { return {{"a", {1, Json(Json::value_t::discarded)}}}; });
    Pool pool(host, at(level));
    const auto submit = [&](const std::string& give) {
      return pool.submit("evaluates", Json{{"first", "from pyhost import services"}, {"give", give}}).get();
    };
    const std::string found = "contains binary or discarded data, which JSON does not have";
    REQUIRE_ERROR(whole, ModuleRaised, submit("services.reads()"));
    CHECK_SAYS(whole, "the answer of service 'reads' " + found);
    CHECK(whole.exception().type == "pyhost.ServiceError");
    REQUIRE_ERROR(part, ModuleRaised, submit("services.holds()"));
    CHECK_SAYS(part, "the answer of service 'holds' at /a/1 " + found);
  });
}

TEST_CASE("a pool's timeout cancels a run, and a run can have its own") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    PoolOptions options = at(level);
    options.timeout = 100ms;
    Pool pool(host, options);
    std::future<Json> first = pool.submit("does_not_end", loops);
    std::future<Json> second = pool.submit("does_not_end", loops, {.timeout = 50ms});
    REQUIRE_ERROR(by_pool, TimedOut, first.get());
    CHECK_SAYS(by_pool, "0.1 s");
    REQUIRE_ERROR(by_itself, TimedOut, second.get());
    CHECK_SAYS(by_itself, "0.05 s");
    CHECK(pool.submit("wins").get() == "second");
  });
}

TEST_CASE(
    "an import in a pool has its own timeout, and the run's timeout counts from the end of the import") {
  const test::ModuleFolder folder;
  folder.write("slow.py",
               "import time\n"
               "time.sleep(0.6)\n"
               "def create(state):\n"
               "  class Module:\n"
               "    def run(self): time.sleep(state['seconds']); return 'ran'\n"
               "  return Module()\n");
  on_every_level([&](Isolation level) {
    Host host(folder.options());
    Pool pool(host, at(level, 1));
    const auto run = [&](double seconds, RunOptions options) {
      return pool.submit("slow", Json{{"seconds", seconds}}, std::move(options)).get();
    };
    REQUIRE_ERROR(counted, TimedOut, run(0, {.timeout = 300ms, .import_timeout = 0ms}));
    CHECK(counted.phase() == Phase::Import);
    CHECK_SAYS(counted, "its deadline of 0.3 s");
    REQUIRE_ERROR(import, TimedOut, run(0, {.timeout = 10s, .import_timeout = 200ms}));
    CHECK(import.phase() == Phase::Import);
    CHECK_SAYS(import, "the import's deadline of 0.2 s");
    CHECK(import.hint().find("import_timeout") != std::string::npos);
    CHECK(run(0, {.timeout = 300ms}) == "ran");
    host.unload("slow");
    REQUIRE_ERROR(late, TimedOut, run(2, {.timeout = 200ms}));
    CHECK(late.phase() == Phase::Run);
    CHECK_SAYS(late, "its deadline of 0.2 s");
  });
}

TEST_CASE("a stop token cancels a run in flight and a pending one") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    Pool pool(host, at(level, 1));
    std::stop_source source, other;
    std::future<Json> running = pool.submit("does_not_end", loops, {.stop = source.get_token()});
    std::future<Json> waiting = pool.submit("wins", Json(), {.stop = other.get_token()});
    other.request_stop();
    std::this_thread::sleep_for(20ms);
    source.request_stop();
    REQUIRE_ERROR(stopped, Cancelled, running.get());
    REQUIRE_ERROR(never, Cancelled, waiting.get());
    CHECK(never.module() == "wins");
    CHECK(pool.submit("wins").get() == "second");
  });
}

TEST_CASE("cancel ends pending runs and runs in flight, and the pool stays usable") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    Pool pool(host, at(level));
    for (int round = 0; round < 5; ++round) {
      std::vector<std::future<Json>> futures;
      for (int i = 0; i < 20; ++i) futures.push_back(pool.submit("does_not_end", loops));
      if (round % 2 == 0) std::this_thread::sleep_for(30ms);
      pool.cancel();
      for (std::future<Json>& each : futures) {
        REQUIRE_ERROR(error, Cancelled, each.get());
        CHECK(error.module() == "does_not_end");
      }
      CHECK(pool.submit("wins").get() == "second");
    }
  });
}

TEST_CASE("a run that is cancelled during an import leaves no lock behind") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    for (int round = 0; round < 40; ++round) {
      Pool pool(host, at(level));
      std::vector<std::future<Json>> futures;
      for (int i = 0; i < 50; ++i) futures.push_back(pool.submit("raises_in_import"));
      futures.front().wait();
      pool.cancel();
      for (std::future<Json>& each : futures) CHECK(test::error_of([&] { return each.get(); }));
    }
    REQUIRE_ERROR(error, ImportFailed, host.load("raises_in_import"));
  });
}

TEST_CASE("cancel_waiting cancels the pending runs only") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    Gate gate(host);
    Pool pool(host, at(level, 1));
    std::future<Json> running = pool.submit("evaluates", asks_gate);
    gate.wait_for(1);
    std::vector<std::future<Json>> waiting;
    for (int i = 0; i < 1000; ++i) waiting.push_back(pool.submit("wins"));
    pool.cancel_waiting();
    gate.open();
    CHECK(running.get() == "through");
    REQUIRE_ERROR(error, Cancelled, waiting.back().get());
    CHECK(pool.submit("wins").get() == "second");
  });
}

TEST_CASE("a closing pool waits for runs in flight, and accepts no more") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    Pool pool(host, at(level));
    std::vector<std::future<Json>> futures;
    for (int i = 0; i < 200; ++i) futures.push_back(pool.submit("returns_state", Json{{"i", i}}));
    CHECK(pool.close(1h));
    for (std::future<Json>& each : futures) CHECK(each.get().size() == 1);
    REQUIRE_ERROR(error, HostClosed, pool.submit("wins"));
    CHECK_SAYS(error, "the pool is closed");
    REQUIRE_ERROR(map, HostClosed, pool.map("wins", numbered(1)).next());
    CHECK(pool.close(0ms));
  });
}

TEST_CASE("runs that outlast the timeout of close are cancelled") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    Pool pool(host, at(level));
    std::vector<std::future<Json>> futures;
    for (int i = 0; i < 5; ++i) futures.push_back(pool.submit("does_not_end", loops));
    CHECK_FALSE(pool.close(50ms));
    for (std::future<Json>& each : futures) {
      REQUIRE_ERROR(error, Cancelled, each.get());
    }
  });
}

TEST_CASE("a host that is closed before its pool ends the pool's runs") {
  on_every_level([](Isolation level) {
    std::optional<Host> host(over_fixtures());
    Pool pool(*host, at(level));
    Runs runs = pool.runs("returns_state");
    std::vector<std::future<Json>> futures;
    for (int i = 0; i < 5; ++i) futures.push_back(pool.submit("does_not_end", loops));
    std::this_thread::sleep_for(20ms);
    host.reset();
    for (std::future<Json>& each : futures) {
      REQUIRE_ERROR(error, HostClosed, each.get());
    }
    REQUIRE_ERROR(later, HostClosed, pool.submit("wins"));
    CHECK_SAYS(later, "the host of this pool is closed");
    REQUIRE_ERROR(put, HostClosed, (runs.put("{}"), 0));
    CHECK(pool.close(0ms));
    CHECK(Host(over_fixtures()).run("wins") == "second");
  });
}

TEST_CASE("map returns the outcomes in the order of the states") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    Pool pool(host, at(level));
    int next = 0;
    for (const Outcome& outcome : pool.map("returns_state", numbered(3000), {.max_in_flight = 7})) {
      CHECK(outcome.index == static_cast<std::size_t>(next));
      CHECK(outcome.result() == Json{{"i", next}});
      CHECK(outcome.seconds > 0);
      ++next;
    }
    CHECK(next == 3000);
    CHECK_FALSE(pool.map("wins", std::vector<std::string>()).next().has_value());
  });
}

TEST_CASE("map returns the outcomes as they come if ordered is false") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    Gate gate(host);
    Pool pool(host, at(level));
    std::vector<Json> states(20, {{"give", "1"}});
    states[0] = asks_gate;
    std::set<std::size_t> seen;
    for (const Outcome& outcome : pool.map("evaluates", states, {.ordered = false})) {
      CHECK(seen.insert(outcome.index).second);
      if (seen.size() == 19) {
        CHECK_FALSE(seen.contains(0));
        gate.open();
      }
    }
    CHECK(seen.size() == 20);
  });
}

TEST_CASE("a failed state is an outcome with an error, and the next outcomes follow") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    Pool pool(host, at(level));
    const std::vector<std::string> states{R"({"give":"1"})", "no JSON", R"({"give":"1 / 0"})",
                                          R"({"give":"2"})", R"({"give":"2 ** 70"})"};
    std::vector<Outcome> outcomes;
    for (Outcome& outcome : pool.map("evaluates", states)) outcomes.push_back(std::move(outcome));
    REQUIRE(outcomes.size() == 5);
    CHECK(outcomes[0].text == "1");
    CHECK(outcomes[1].error.value().kind() == ErrorKind::InvalidState);
    CHECK(outcomes[2].error.value().exception().type == "ZeroDivisionError");
    CHECK(outcomes[3].result() == 2);
    CHECK(outcomes[4].text == "1180591620717411303424");
    REQUIRE_ERROR(large, InvalidResult, outcomes[4].result());
    CHECK_SAYS(large, "in the result of state 4, 1180591620717411303424 is an integer beyond 64 bits");
    REQUIRE_ERROR(raised, ModuleRaised, outcomes[2].result());
    const std::vector<Json> no_number{{{"a", NAN}}};
    CHECK(pool.map("wins", no_number).next().value().error.value().pointer() == "/a");
  });
}

TEST_CASE("map reads at most max_in_flight states ahead") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    Pool pool(host, at(level));
    std::size_t asked = 0, given = 0;
    auto states = std::views::iota(0, 500) | std::views::transform([&](int i) {
                    ++asked;
                    return Json{{"i", i}};
                  });
    for (const Outcome& outcome : pool.map("returns_state", states, {.max_in_flight = 10})) {
      CHECK(outcome.ok());
      ++given;
      CHECK(asked <= given + 9);
    }
    CHECK(given == 500);
    CHECK(asked == 500);
  });
}

TEST_CASE("an exception of the range of states is thrown by map, and the pool stays usable") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    Pool pool(host, at(level));
    auto states = std::views::iota(0, 10) | std::views::transform([](int i) {
                    if (i == 5) throw std::runtime_error("the file ended");
                    return std::string("{}");
                  });
    std::size_t given = 0;
    const auto run_all = [&] {
      for (const Outcome& outcome : pool.map("wins", states, {.max_in_flight = 2}))
        given += outcome.ok() ? 1 : 0;
    };
    CHECK_THROWS_WITH(run_all(), "the file ended");
    CHECK(given == 4);
    CHECK(pool.submit("wins").get() == "second");
  });
}

TEST_CASE("leaving a map early cancels its runs in flight") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    Pool pool(host, at(level));
    std::vector<Json> states(1000, loops);
    states[0] = {{"how", "sleep_for_a_moment"}};
    for (const Outcome& outcome : pool.map("does_not_end", states)) {
      CHECK(outcome.text == "\"late\"");
      break;
    }
    CHECK(pool.submit("wins").get() == "second");
  });
}

TEST_CASE("a run that timed out is retried as often as the option retries says") {
  on_every_level([](Isolation level) {
    std::atomic<int> calls = 0;
    Host host(over_fixtures());
    host.services().provide("count", [&](const Json&) -> Json { return ++calls; });
    Pool pool(host, at(level));
    const std::string count = "from pyhost import services\nn = services.count()\n";
    const std::vector<Json> third{
        {{"first", count + "import time\nwhile n < 3: time.sleep(0.01)"}, {"give", "n"}}};
    const auto twice = pool.map("evaluates", third, {.run = {.timeout = 1s}, .retries = 1}).next().value();
    CHECK(twice.error.value().kind() == ErrorKind::TimedOut);
    CHECK(calls == 2);
    calls = 0;
    CHECK(pool.map("evaluates", third, {.run = {.timeout = 1s}, .retries = 2}).next().value().text == "3");
    calls = 0;
    const std::vector<Json> raises{{{"first", count + "1 / 0"}, {"give", "n"}}};
    CHECK_FALSE(pool.map("evaluates", raises, {.retries = 5}).next().value().ok());
    CHECK(calls == 1);
  });
}

TEST_CASE("one thread can push states while another takes the outcomes") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    Pool pool(host, at(level));
    Runs runs = pool.runs("returns_state", {.ordered = false, .max_in_flight = 5});
    CHECK_FALSE(runs.next_within(1ms).has_value());
    std::thread reader([&] {
      for (int i = 0; i < 1000; ++i) runs.put(Json{{"i", i}});
      runs.end();
    });
    std::set<std::size_t> seen;
    while (const std::optional<Outcome> outcome = runs.next()) {
      CHECK(outcome->result()["i"] == outcome->index);
      seen.insert(outcome->index);
    }
    reader.join();
    CHECK(seen.size() == 1000);
    CHECK_FALSE(runs.next_within(1h).has_value());
  });
}

TEST_CASE("the host's observers are notified of runs in a pool") {
  on_every_level([](Isolation level) {
    std::mutex mutex;
    std::vector<std::string> output, errors;
    std::set<RunId> begun;
    std::atomic<int> logged = 0;
    Options options = over_fixtures();
    options.callbacks.on_output = [&](const Output& out) {
      const std::lock_guard lock(mutex);
      output.push_back(std::string(out.module) + ": " + std::string(out.text));
    };
    options.callbacks.on_error = [&](const Error& error) {
      const std::lock_guard lock(mutex);
      errors.push_back(error.module());
    };
    options.callbacks.on_event = [&](const Event& event) {
      const std::lock_guard lock(mutex);
      if (event.kind == EventKind::RunEnded) begun.insert(event.run);
    };
    options.logging.on_log = [&](const LogRecord& record) { logged += record.logger == "desk" ? 1 : 0; };
    {
      Host host(options);
      Pool pool(host, at(level));
      std::vector<std::future<Json>> futures;
      for (int i = 0; i < 10; ++i)
        futures.push_back(pool.submit("evaluates", Json{{"give", "print('here')"}}));
      for (int i = 0; i < 10; ++i) futures.push_back(pool.submit("logs"));
      for (std::future<Json>& each : futures) CHECK(each.get() == nullptr);
      CHECK(test::error_of([&] { return pool.submit("raises_in_create").get(); }));
    }
    CHECK(output == std::vector<std::string>(10, "evaluates: here\n"));
    CHECK(errors == std::vector<std::string>{"raises_in_create"});
    CHECK(begun.size() == 20);
    CHECK(logged == 10);
  });
}

TEST_CASE("a failed worker leaves its runs to the others, and the last one to fail reports its error") {
  std::atomic<int> made = 0, failed = 0;
  struct Counted : detail::Job {
    std::atomic<int>&made, &failed;
    Counted(std::atomic<int>& of_made, std::atomic<int>& of_failed) : made(of_made), failed(of_failed) {}
    void succeed(std::string) noexcept override { ++made; }
    void fail(const Error& error) noexcept override { failed += error.message() == "no room" ? 1 : 0; }
  };
  struct Able : detail::Worker {
    void work(detail::RunQueue& queue) override {
      for (detail::Jobs jobs; queue.take(jobs, 1); jobs.clear()) jobs.front()->succeed("");
    }
    void cancel() noexcept override {}
  };
  struct Unable : Able {
    void work(detail::RunQueue&) override { throw Error({.message = "no room"}); }
  };
  for (const bool all : {false, true}) {
    std::vector<std::unique_ptr<detail::Worker>> workers;
    for (int i = 0; i < 3; ++i) workers.push_back(std::make_unique<Unable>());
    if (!all) workers.push_back(std::make_unique<Able>());
    const auto pool =
        detail::PoolData::of(std::make_shared<detail::ShutdownHooks>(), std::move(workers),
                             {.timeout = {}, .import_timeout = {}, .patience = 1h, .reports_spans = false});
    for (int i = 0; i < 100; ++i) pool->put(std::make_unique<Counted>(made, failed));
    pool->leave();
  }
  CHECK(made == 100);
  CHECK(failed == 100);
}

TEST_CASE("on_output is called by one thread at a time") {
  on_every_level([](Isolation level) {
    std::atomic<int> inside = 0, most = 0, calls = 0;
    Options options = over_fixtures();
    options.callbacks.on_output = [&](const Output&) {
      most = std::max(most.load(), ++inside);
      std::this_thread::sleep_for(2ms);
      --inside;
      ++calls;
    };
    Host host(options);
    {
      Pool pool(host, at(level));
      for (int i = 0; i < 40; ++i) pool.submit("evaluates", Json{{"give", "print('here')"}});
      CHECK(pool.close(test::patience));
    }
    CHECK(calls == 40);
    CHECK(most == 1);
  });
}

TEST_CASE("a closing pool does not retry a run that timed out, and reports its error") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    Gate gate(host);
    Pool pool(host, at(level, 1));
    Runs runs = pool.runs("evaluates", {.run = {.timeout = 500ms}, .retries = 1000});
    runs.put(
        Json{{"first", "from pyhost import services\nservices.gate()\nwhile True: pass"}, {"give", "1"}});
    runs.end();
    gate.wait_for(1);
    gate.open();
    CHECK(pool.close(test::patience));
    const std::optional<Outcome> outcome = runs.next();
    REQUIRE(outcome);
    REQUIRE(outcome->error);
    CHECK(to_string(outcome->error->kind()) == to_string(ErrorKind::TimedOut));
  });
}

TEST_CASE("the longest durations are accepted, and a timeout of zero or less expires at once") {
  static constexpr auto longest = std::chrono::milliseconds::max();
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    PoolOptions options = at(level);
    options.timeout = longest;
    Pool pool(host, options);
    Runs runs = pool.runs("returns_state");
    runs.put(Json{{"i", 1}});
    runs.end();
    const auto outcome = runs.next_within(longest);
    REQUIRE(outcome);
    CHECK(outcome->ok());
    for (const auto none : {0ms, -5ms}) {
      for (int i = 0; i < 3; ++i) {
        REQUIRE_ERROR(error, TimedOut, pool.submit("wins", Json::object(), {.timeout = none}).get());
      }
    }
    CHECK(pool.close(longest));
  });
}

TEST_CASE("a thread that waits to push a state gets HostClosed when the pool closes") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    Pool pool(host, at(level));
    Runs runs = pool.runs("returns_state", {.max_in_flight = 2});
    std::thread closes([&] {
      std::this_thread::sleep_for(300ms);
      pool.close(10s);
    });
    REQUIRE_ERROR(error, HostClosed, [&] {
      for (int i = 0; i < 3; ++i) runs.put(Json{{"i", i}});
      return 0;
    }());
    closes.join();
  });
}

TEST_CASE("the memory of pending large states is limited") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    Gate gate(host);
    Pool pool(host, at(level, 1));
    Runs runs = pool.runs("evaluates");
    Json large = asks_gate;
    large["a"] = std::string(std::size_t{8} << 20, 'x');
    std::atomic<int> put = 0;
    std::thread puts([&] {
      for (; put < 20; ++put) runs.put(large);
      runs.end();
    });
    gate.wait_for(1);
    std::this_thread::sleep_for(300ms);
    CHECK(put <= 9);
    gate.open();
    int seen = 0;
    while (const auto outcome = runs.next()) seen += outcome->ok() ? 1 : 0;
    puts.join();
    CHECK(seen == 20);
  });
}

TEST_CASE("invalid pool options are refused with a hint") {
  Host host(over_fixtures());
  const auto refused = [&](const PoolOptions& options) { return Pool(host, options).workers(); };
  REQUIRE_ERROR(many, StartupFailed, refused({.workers = 1025}));
  CHECK_SAYS(many, "at most 1,024 workers");
  REQUIRE_ERROR(negative, StartupFailed, refused({.workers = static_cast<std::size_t>(-1)}));
  REQUIRE_ERROR(timeout, StartupFailed, refused({.timeout = -1ms}));
  REQUIRE_ERROR(limit, StartupFailed, refused({.memory_limit = 1 << 20}));
  CHECK_SAYS(limit, "PoolOptions::memory_limit needs worker processes");
  REQUIRE_ERROR(recycled, StartupFailed, refused({.max_runs_per_worker = 5}));
  REQUIRE_ERROR(resident, StartupFailed, refused({.max_resident = 5}));
  REQUIRE_ERROR(program, StartupFailed, refused({.worker = "pyhost-worker"}));
  CHECK(host.run("wins") == "second");
}

TEST_CASE("a service that a module calls can use a pool") {
  on_every_level([](Isolation level) {
    Host host(over_fixtures());
    Pool pool(host, at(level));
    host.services().provide("many", [&](const Json&) -> Json {
      int right = 0;
      for (const Outcome& outcome : pool.map("returns_state", numbered(100), {.max_in_flight = 3}))
        right += outcome.ok() ? 1 : 0;
      return right;
    });
    CHECK(host.run("evaluates",
                   Json{{"first", "from pyhost import services"}, {"give", "services.many()"}}) == 100);
  });
}
