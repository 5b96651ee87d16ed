#include <doctest/doctest.h>

#include <algorithm>
#include <thread>

#include "support.hpp"

using namespace pyhost;
using namespace std::chrono_literals;
using test::evaluated;
using test::fixtures;
using test::over_fixtures;
using test::told;

static_assert(std::input_iterator<Stream::Iterator>);
static_assert(std::movable<Stream> && !std::copyable<Stream>);

namespace {

using Lines = std::vector<std::string>;

std::vector<Json> all_of(Stream stream) {
  std::vector<Json> items;
  for (const Json& item : stream) items.push_back(item);
  return items;
}

}  // namespace

TEST_CASE("async def run is awaited, on one event loop for each thread") {
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

TEST_CASE("an async run may call a service that makes another one") {
  Host host(over_fixtures());
  host.provide("another", [&](const Json& depth) { return host.run("awaits_a_service", depth); });
  CHECK(host.run("awaits_a_service", {{"depth", 3}}) == Json{3, {2, {1, {0, nullptr}}}});
  std::thread([&] { CHECK(host.run("awaits_a_service", {{"depth", 1}}) == Json{1, {0, nullptr}}); }).join();
}

TEST_CASE("a deadline cancels what is awaited") {
  Host host(over_fixtures());
  host.run("awaits");  // so that the import of asyncio takes nothing of the deadline
  const auto times_out = [&] {
    REQUIRE_ERROR(error, TimedOut, host.run("awaits", {{"seconds", 1000}}, {.timeout = 100ms}));
    CHECK(error.exception().type == "asyncio.exceptions.CancelledError");
    CHECK(evaluated(host, "over", "import sys; over = sys.__dict__.pop('awaited')") == "over");
    CHECK(host.run("awaits").is_number());
  };
  times_out();
  std::thread(times_out).join();
}

TEST_CASE("what run yields is a range, made item by item") {
  Host host(over_fixtures());
  for (const char* name : {"yields", "yields_async"}) {
    CAPTURE(name);
    told(host);
    const Json items{1, "two", {{"three", 3}}, nullptr};
    CHECK(Json(all_of(host.stream(name, {{"items", items}}))) == items);
    CHECK(told(host) == Lines{"over"});
    Stream stream = host.load(name).create({{"items", items}}).stream();
    CHECK(stream.yields());
    CHECK(stream.next_text() == "1");
    CHECK(told(host).empty());
    Stream moved = std::move(stream);
    CHECK(moved.next() == "two");
    CHECK(moved.next().has_value());
    CHECK(moved.next().has_value());
    CHECK_FALSE(moved.next().has_value());
    CHECK_FALSE(moved.next().has_value());
  }
}

TEST_CASE("a stream that is left early closes its generator") {
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

TEST_CASE("run() of what yields gives an array of it all") {
  Host host(over_fixtures());
  CHECK(host.run("yields", {{"items", {1, 2}}}) == Json{1, 2});
  CHECK(host.run_text("yields_async", R"({"items": []})") == "[]");
}

TEST_CASE("a stream of what does not yield is its one result") {
  Host host(over_fixtures());
  Stream stream = host.stream("wins");
  CHECK_FALSE(stream.yields());
  CHECK(stream.next() == "second");
  CHECK_FALSE(stream.next().has_value());
}

TEST_CASE("what goes wrong in a stream is thrown where its item is asked for, and ends it") {
  Host host(over_fixtures());
  Stream raises = host.stream("yields", {{"items", {1, "bad", 3}}});
  CHECK(raises.next() == 1);
  REQUIRE_ERROR(error, ModuleRaised, raises.next());
  CHECK(error.place().line == 16);
  CHECK_FALSE(raises.next().has_value());
  host.run("yields_async", {{"items", {1}}});  // imports asyncio, which might take as long as the deadline
  Stream hangs = host.stream("yields_async", {{"items", {1, "hang"}}}, {.timeout = 100ms});
  CHECK(hangs.next() == 1);
  REQUIRE_ERROR(late, TimedOut, hangs.next());
}

TEST_CASE("a stream is one run, whose object is closed at its end") {
  std::vector<std::string> said;
  std::vector<RunId> runs;
  Host host({.module_paths = {fixtures}, .on_event = [&](const Event& event) {
               said.emplace_back(to_string(event.kind));
               runs.push_back(event.run);
             }});
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
  std::optional<Stream> stream;
  {
    Host host(over_fixtures());
    stream.emplace(host.stream("yields", {{"items", {1, 2}}}));
    CHECK(stream->next() == 1);
  }
  REQUIRE_ERROR(error, HostClosed, stream->next());
}
