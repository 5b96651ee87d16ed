#include <doctest/doctest.h>

#include <algorithm>
#include <thread>

#include "support.hpp"

using namespace pyhost;
using namespace std::chrono_literals;
using test::evaluated;
using test::fixtures;
using test::ModuleFolder;
using test::over_fixtures;
using test::told;

static_assert(std::input_iterator<Stream<>::Iterator>);
static_assert(std::movable<Stream<>> && !std::copyable<Stream<>>);

namespace {

using Lines = std::vector<std::string>;

std::vector<Json> all_of(Stream<> stream) {
  std::vector<Json> items;
  for (const Json& item : stream) items.push_back(item);
  return items;
}

}  // namespace

TEST_CASE("an async run is awaited, on one event loop per thread") {
  Host host(over_fixtures());
  const Json loop = host.run("awaits");
  CHECK(loop.is_number());
  CHECK(host.run("awaits") == loop);
  std::thread([&] {
    const Json other = host.run("awaits");
    CHECK(other != loop);
    CHECK(host.run("awaits") == other);
  }).join();
  REQUIRE_ERROR(error, ModuleRaised, host.run("awaits", {{"raises", true}}));
  CHECK(error.exception().message == "in a coroutine");
  CHECK(error.place().line == 13);
}

TEST_CASE("an async run can call a service that makes another async run") {
  Host host(over_fixtures());
  host.services().provide("another", [&](const Json& depth) { return host.run("awaits_a_service", depth); });
  CHECK(host.run("awaits_a_service", {{"depth", 3}}) == Json{3, {2, {1, {0, nullptr}}}});
  std::thread([&] { CHECK(host.run("awaits_a_service", {{"depth", 1}}) == Json{1, {0, nullptr}}); }).join();
}

TEST_CASE("a deadline cancels an awaited call") {
  Host host(over_fixtures());
  host.run("awaits");  // imports asyncio before a deadline applies
  const auto times_out = [&] {
    REQUIRE_ERROR(error, TimedOut, host.run("awaits", {{"seconds", 1000}}, {.timeout = 1s}));
    CHECK(error.exception().type == "asyncio.exceptions.CancelledError");
    CHECK(evaluated(host, "over", "import sys; over = sys.__dict__.pop('awaited')") == "over");
    CHECK(host.run("awaits").is_number());
  };
  times_out();
  std::thread(times_out).join();
}

TEST_CASE("the items of a generator form a range and are produced one by one") {
  Host host(over_fixtures());
  for (const char* name : {"yields", "yields_async"}) {
    CAPTURE(name);
    told(host);
    const Json items{1, "two", {{"three", 3}}, nullptr};
    CHECK(Json(all_of(host.stream(name, {{"items", items}}))) == items);
    CHECK(told(host) == Lines{"over"});
    Stream stream = host.load(name).create({{"items", items}}).stream();
    CHECK(stream.yields());
    CHECK(stream.next() == Json(1));
    CHECK(told(host).empty());
    Stream moved = std::move(stream);
    CHECK(moved.next() == "two");
    CHECK(moved.next().has_value());
    CHECK(moved.next().has_value());
    CHECK_FALSE(moved.next().has_value());
    CHECK_FALSE(moved.next().has_value());
  }
}

TEST_CASE("a stream that is destroyed early closes its generator") {
  Host host(over_fixtures());
  for (const char* name : {"yields", "yields_async"}) {
    CAPTURE(name);
    told(host);
    for (const Json& item : host.stream(name, {{"items", {1, 2, 3}}})) {
      CHECK(item == 1);
      break;
    }
    CHECK(told(host) == Lines{"over"});
    Stream stream = host.stream(name, {{"items", {1, 2, 3}}});
    CHECK(stream.next() == 1);
    stream.close();
    CHECK(told(host) == Lines{"over"});
    CHECK_FALSE(stream.next().has_value());
    stream.close();
  }
}

TEST_CASE("run() of a generator returns an array of all items") {
  Host host(over_fixtures());
  CHECK(host.run("yields", {{"items", {1, 2}}}) == Json{1, 2});
  CHECK(host.run<std::string>("yields_async", R"({"items": []})") == "[]");
}

TEST_CASE("a stream of a plain run has one item, its result") {
  Host host(over_fixtures());
  Stream stream = host.stream("wins");
  CHECK_FALSE(stream.yields());
  CHECK(stream.next() == "second");
  CHECK_FALSE(stream.next().has_value());
}

TEST_CASE("an error in a stream is thrown by next(), and ends the stream") {
  Host host(over_fixtures());
  Stream raises = host.stream("yields", {{"items", {1, "bad", 3}}});
  CHECK(raises.next() == 1);
  REQUIRE_ERROR(error, ModuleRaised, raises.next());
  CHECK(error.place().line == 16);
  CHECK_FALSE(raises.next().has_value());
  host.run("yields_async", {{"items", {1}}});  // imports asyncio before a deadline applies
  Stream hangs = host.stream("yields_async", {{"items", {1, "hang"}}}, {.timeout = 1s});
  CHECK(hangs.next() == 1);
  REQUIRE_ERROR(late, TimedOut, hangs.next());
}

TEST_CASE("a stream is one run, and its object is closed at the end") {
  std::vector<std::string> said;
  std::vector<RunId> runs;
  Host host({.module_paths = {fixtures}, .callbacks = {.on_event = [&](const Event& event) {
                                           said.emplace_back(to_string(event.kind));
                                           runs.push_back(event.run);
                                         }}});
  all_of(host.stream("yields", {{"items", {1, 2}}}));
  CHECK(said == Lines{"Found", "Imported", "Created", "RunStarted", "RunEnded"});
  CHECK(std::ranges::all_of(runs, [&](RunId run) { return run == runs.front(); }));
  told(host);
  Stream stream = host.stream("tells_of_its_life");
  CHECK(told(host) == Lines{"load", "run it"});
  CHECK(stream.next() == nullptr);
  CHECK(told(host) == Lines{"close it"});
}

TEST_CASE("a stream that outlives its host has no items") {
  std::optional<Stream<>> stream;
  {
    Host host(over_fixtures());
    stream.emplace(host.stream("yields", {{"items", {1, 2}}}));
    CHECK(stream->next() == 1);
  }
  REQUIRE_ERROR(error, HostClosed, stream->next());
}

TEST_CASE("the timeout of a stream counts from the start of the run, not from the first item") {
  const ModuleFolder folder;
  folder.write("is_created_slowly.py",
               "import time\n"
               "class Module:\n"
               "    def run(self):\n"
               "        while True:\n"
               "            time.sleep(0.3)\n"
               "            yield 1\n"
               "def create(state):\n"
               "    time.sleep(0.5)\n"
               "    return Module()\n");
  Host host(folder.options());
  host.load("is_created_slowly");
  int items = 0;
  REQUIRE_ERROR(error, TimedOut, [&] {
    Stream stream = host.stream("is_created_slowly", {}, {.timeout = 600ms});
    while (stream.next()) ++items;
    return 0;
  }());
  CHECK(items == 0);
}

TEST_CASE("context variables of an async generator last from one item to the next") {
  const ModuleFolder folder;
  folder.write("keeps_its_surroundings.py",
               "import asyncio, contextvars\n"
               "number = contextvars.ContextVar('number', default=0)\n"
               "class Module:\n"
               "    async def run(self):\n"
               "        before = number.set(1)\n"
               "        task = asyncio.current_task()\n"
               "        try:\n"
               "            for _ in range(2):\n"
               "                yield [number.get(), asyncio.current_task() is task]\n"
               "                await asyncio.sleep(0)\n"
               "        finally:\n"
               "            number.reset(before)\n"
               "def create(state): return Module()\n");
  Host host(folder.options());
  const Json expected{{1, true}, {1, true}};
  CHECK(Json(all_of(host.stream("keeps_its_surroundings"))) == expected);
  Stream stream = host.stream("keeps_its_surroundings");
  CHECK(stream.next() == expected[0]);
  std::thread([&] {  // any thread may use a stream, one at a time
    CHECK(stream.next() == expected[1]);
    CHECK_FALSE(stream.next().has_value());
  })
      .join();
}

TEST_CASE("a stream within an async run has its own event loop") {
  Host host(over_fixtures());
  const Json two{{"items", {1, 2}}};
  host.services().provide("another",
                          [&](const Json&) { return Json(all_of(host.stream("yields_async", two))); });
  const Json direct = all_of(host.stream("yields_async", two));
  CHECK(direct.size() == 2);
  CHECK(host.run("awaits_a_service", {{"depth", 1}}) == Json{1, direct});
}

TEST_CASE("a cancellation that a generator suppresses while it is closed is reported") {
  const ModuleFolder folder;
  folder.write("swallows_its_end.py",
               "class Module:\n"
               "    def run(self):\n"
               "        try: yield 1\n"
               "        finally:\n"
               "            try:\n"
               "                while True: pass\n"
               "            except BaseException: pass\n"
               "def create(state): return Module()\n");
  Host host(folder.options());
  host.load("swallows_its_end");
  Stream stream = host.stream("swallows_its_end", {}, {.timeout = 1s});
  CHECK(stream.next() == 1);
  REQUIRE_ERROR(error, TimedOut, [&] { return stream.close(), 0; }());
}

TEST_CASE("an exception while a generator is closed is reported but not thrown") {
  const ModuleFolder folder;
  folder.write("raises_in_its_end.py",
               "class Module:\n"
               "    def __init__(self, state): self.state = state\n"
               "    def run(self):\n"
               "        try: yield {1} if self.state.get('bad') else 1\n"
               "        finally:\n"
               "            from pyhost import services\n"
               "            services.refuse()\n"
               "def create(state): return Module(state)\n");
  std::vector<std::string> errors;
  Options options = folder.options();
  options.callbacks.on_error = [&](const Error& error) {
    errors.push_back(std::string(to_string(error.kind())) + " in " + std::string(to_string(error.phase())));
  };
  Host host(options);
  host.services().provide("refuse", [](const Json&) -> Json { throw std::runtime_error("no"); });
  {
    CHECK(host.stream("raises_in_its_end").next() == 1);
  }  // the destructor of the stream cannot throw
  CHECK(errors == Lines{"ModuleRaised in close"});
  errors.clear();
  REQUIRE_ERROR(error, InvalidResult, host.stream("raises_in_its_end", {{"bad", true}}).next());
  CHECK(errors == Lines{"ModuleRaised in close", "InvalidResult in result"});
}

TEST_CASE("an awaitable that is not a coroutine is awaited, too") {
  const ModuleFolder folder;
  folder.write("returns_an_awaitable.py",
               "import asyncio\n"
               "class Soon:\n"
               "    def __await__(self):\n"
               "        yield from asyncio.sleep(0).__await__()\n"
               "        return 'here'\n"
               "class Module:\n"
               "    def run(self): return Soon()\n"
               "def create(state): return Module()\n");
  Host host(folder.options());
  CHECK(host.run("returns_an_awaitable") == "here");
}

TEST_CASE("an async stream refuses to continue while its event loop runs something else") {
  Host host(over_fixtures());
  Stream stream = host.stream("yields_async", {{"items", {1, 2}}});
  CHECK(stream.next() == 1);
  host.services().provide("another", [&](const Json&) -> Json {
    REQUIRE_ERROR(error, ModuleRaised, stream.next());
    CHECK_SAYS(error, "an async stream runs in the event loop of the thread that took its first item");
    return nullptr;
  });
  CHECK(host.run("awaits_a_service", {{"depth", 1}}) == Json{1, nullptr});
}

TEST_CASE("a cancellation of the event loop ends a stream, even if the generator yields in response") {
  const ModuleFolder folder;
  folder.write("answers_by_an_item.py",
               "import asyncio\n"
               "def interrupt(): raise KeyboardInterrupt\n"
               "class Module:\n"
               "    async def run(self):\n"
               "        asyncio.get_running_loop().call_later(0.01, interrupt)\n"
               "        try: await asyncio.sleep(1000)\n"
               "        except asyncio.CancelledError: yield 'caught'\n"
               "def create(state): return Module()\n");
  Host host(folder.options());
  REQUIRE_ERROR(error, ModuleRaised, host.stream("answers_by_an_item").next());
  CHECK(error.exception().type == "KeyboardInterrupt");
}
