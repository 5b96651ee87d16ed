// All forms of states and of results.
#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "support.hpp"

using namespace pyhost;
using test::over_fixtures;

// Types of an application, with their conversions from and to Json.
namespace market {

struct Order {
  std::string symbol;
  int amount = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Order, symbol, amount)

struct Quote {
  std::string symbol;
  double price = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Quote, symbol, price)

}  // namespace market

using market::Order;
using market::Quote;

namespace {

Module echo(Host& host) { return host.load("returns_state"); }

}  // namespace

TEST_CASE("a state can be omitted, or be braces, a Json, or JSON text of any string type") {
  Host host(over_fixtures());
  const Json json{{"who", "Ada"}};
  const std::string text = R"({"who": "Ada"})";
  CHECK(host.run("returns_state") == Json::object());
  CHECK(host.run("returns_state", {}) == Json::object());
  CHECK(host.run("returns_state", Json()) == Json::object());
  CHECK(host.run("returns_state", {{"who", "Ada"}}) == json);
  CHECK(host.run("returns_state", {{"n", {1, 2}}, {"in", {{"a", nullptr}}}}) ==
        Json{{"n", {1, 2}}, {"in", {{"a", nullptr}}}});
  CHECK(host.run("returns_state", json) == json);
  CHECK(host.run("returns_state", Json{{"who", "Ada"}}) == json);
  CHECK(host.run("returns_state", R"({"who": "Ada"})") == json);
  CHECK(host.run("returns_state", text) == json);
  CHECK(host.run("returns_state", std::string_view(text)) == json);
  CHECK(host.run("returns_state", text.c_str()) == json);
  CHECK(echo(host).create({{"who", "Ada"}}).run() == json);
  CHECK(echo(host).create(text).run() == json);
  CHECK(echo(host).create().run() == Json::object());
}

TEST_CASE("a state that is not an object is refused in each form") {
  Host host(over_fixtures());
  const std::vector<int> numbers{1, 2};
  for (const auto& run : std::vector<std::function<void()>>{
           [&] { host.run("returns_state", Json{1, 2}); }, [&] { host.run("returns_state", {1, 2}); },
           [&] { host.run("returns_state", "[1, 2]"); }, [&] { host.run("returns_state", ""); },
           [&] { host.run("returns_state", numbers); }}) {
    REQUIRE_ERROR(error, InvalidState, (run(), 0));
  }
}

TEST_CASE("a result can be a Json, JSON text, a buffer, or a type that nlohmann_json reads") {
  Host host(over_fixtures());
  const std::string text = R"({"z":12345678901234567890123,"a":1})";
  CHECK(host.run<std::string>("returns_state", text) == text);
  CHECK(host.run<Json>("returns_state", {{"a", 1}}) == Json{{"a", 1}});
  CHECK(host.run<Buffer>("evaluates", {{"give", "b'abc'"}}).size_bytes() == 3);
  CHECK(host.run<std::map<std::string, int>>("returns_state", {{"a", 1}}).at("a") == 1);
  CHECK(host.run<int>("evaluates", {{"give", "6 * 7"}}) == 42);
  const Instance instance = echo(host).create({{"a", 1}});
  CHECK(instance.run<std::string>() == R"({"a":1})");
  CHECK(instance.state<std::string>() == R"({"a":1})");
  CHECK(instance.run<std::string>({.timeout = test::patience}) == R"({"a":1})");
}

TEST_CASE("types of the application are accepted as states and returned as results") {
  Host host(over_fixtures());
  const Order order{.symbol = "ABC", .amount = 3};
  const Json quote{{"give", "{'symbol': state['symbol'], 'price': 2.5}"}, {"symbol", "ABC"}};
  CHECK(host.run("returns_state", order) == Json{{"symbol", "ABC"}, {"amount", 3}});
  CHECK(host.run<Order>("returns_state", Order{.symbol = "X"}).symbol == "X");
  CHECK(host.run<Quote>("evaluates", quote).price == 2.5);
  CHECK(echo(host).create(order).state<Order>().amount == 3);
  Pool pool(host, {.workers = 1});
  CHECK(pool.submit<Order>("returns_state", order).get().amount == 3);
  std::vector<Order> orders{order, order};
  for (const Outcome& outcome : pool.map("returns_state", orders)) CHECK(outcome.result<Order>().amount == 3);
}

TEST_CASE("a result that does not fit its type is an error that names the type and the reason") {
  std::vector<ErrorKind> told;
  Options options = over_fixtures();
  options.callbacks.on_error = [&](const Error& error) { told.push_back(error.kind()); };
  Host host(std::move(options));
  REQUIRE_ERROR(missing, InvalidResult, host.run<Quote>("returns_state", {{"symbol", "ABC"}}));
  CHECK_SAYS(missing, "market::Quote");
  CHECK_SAYS(missing, "key 'price' not found");
  CHECK(missing.module() == "returns_state");
  REQUIRE_ERROR(type, InvalidResult, echo(host).create({{"a", "b"}}).run<std::map<std::string, int>>());
  CHECK_SAYS(type, "type must be number, but is string");
  CHECK(told == std::vector{ErrorKind::InvalidResult, ErrorKind::InvalidResult});
  Pool pool(host, {.workers = 1});
  REQUIRE_ERROR(pooled, InvalidResult, pool.submit<Quote>("returns_state", {{"symbol", "ABC"}}).get());
  CHECK_SAYS(pooled, "key 'price' not found");
}

TEST_CASE("a stream returns items of each result type") {
  Host host(over_fixtures());
  const Json items{{"items", {{{"symbol", "A"}, {"price", 1}}, {{"symbol", "B"}, {"price", 2}}}}};
  double sum = 0;
  for (const Quote& quote : host.stream<Quote>("yields", items)) sum += quote.price;
  CHECK(sum == 3);
  Stream<std::string> texts = host.load("yields").create(items).stream<std::string>();
  CHECK(texts.next() == R"({"price":1,"symbol":"A"})");
  Stream jsons = host.stream("yields", items, {.timeout = test::patience});
  CHECK(jsons.next() == items["items"][0]);
}

TEST_CASE("a pool takes the same states and options as a host, and copies the state") {
  Host host(over_fixtures());
  Pool pool(host, {.workers = 1});
  std::string text = R"({"a": 1})";
  auto first = pool.submit<std::string>("returns_state", text, {.timeout = test::patience});
  text.assign(text.size(), ' ');
  CHECK(first.get() == R"({"a":1})");
  CHECK(pool.submit("returns_state", {{"a", 1}}).get() == Json{{"a", 1}});
  CHECK(pool.submit("returns_state").get() == Json::object());
  const std::vector<State> states{State(), R"({"a": 1})", {{"a", 2}}};
  std::vector<std::string> results;
  for (const Outcome& outcome : pool.map("returns_state", states))
    results.push_back(outcome.result<std::string>());
  CHECK(results == std::vector<std::string>{"{}", R"({"a":1})", R"({"a":2})"});
  REQUIRE_ERROR(buffers, InvalidState,
                pool.submit("returns_state", State().with("b", Buffer::of(std::vector<int>{1}))).get());
  CHECK_SAYS(buffers, "buffers");
}

TEST_CASE("a map's stop token cancels its runs") {
  Host host(over_fixtures());
  Pool pool(host, {.workers = 1});
  std::stop_source stop;
  Runs runs = pool.runs("returns_state", {.run = {.stop = stop.get_token()}});
  stop.request_stop();
  runs.put({});
  runs.end();
  CHECK(runs.next()->error->kind() == ErrorKind::Cancelled);
}

TEST_CASE("HostClosed names as data what was closed") {
  std::optional<Host> host(over_fixtures());
  std::optional<Pool> pool(std::in_place, *host, PoolOptions{.workers = 1});
  Module module = echo(*host);
  Instance instance = module.create();
  const Instance closed = module.create();
  Instance(closed).close();
  REQUIRE_ERROR(of_instance, HostClosed, closed.run());
  CHECK(of_instance.closed() == Closed::Instance);
  const Instance moved = std::move(instance);
  REQUIRE_ERROR(of_handle, HostClosed, instance.run());
  CHECK(of_handle.closed() == Closed::Handle);
  pool->close(test::patience);
  REQUIRE_ERROR(of_pool, HostClosed, pool->submit("returns_state"));
  CHECK(of_pool.closed() == Closed::Pool);
  CHECK(of_pool.to_json()["closed"] == "pool");
  host->unload("returns_state");
  REQUIRE_ERROR(of_module, HostClosed, module.create());
  CHECK(of_module.closed() == Closed::Module);
  const Module other = host->load("evaluates");
  pool.reset();
  host.reset();
  REQUIRE_ERROR(of_host, HostClosed, other.create());
  CHECK(of_host.closed() == Closed::Host);
  CHECK(Error({.kind = ErrorKind::Cancelled}).to_json()["closed"] == nullptr);
}

TEST_CASE("a number that does not fit its type exactly is an error") {
  Host host(over_fixtures());
  const auto of = [](const char* give) { return Json{{"give", give}}; };
  CHECK(host.run<std::int64_t>("evaluates", of("-2**63")) == std::numeric_limits<std::int64_t>::min());
  CHECK(host.run<std::uint64_t>("evaluates", of("2**64 - 1")) == std::numeric_limits<std::uint64_t>::max());
  CHECK(host.run<signed char>("evaluates", of("-128")) == -128);
  CHECK(host.run<double>("evaluates", of("3")) == 3.0);
  REQUIRE_ERROR(large, InvalidResult, host.run<int>("evaluates", of("2**40")));
  CHECK_SAYS(large, "does not fit the C++ type int: 1099511627776 has no exact value of this type");
  REQUIRE_ERROR(fraction, InvalidResult, host.run<int>("evaluates", of("3.7")));
  REQUIRE_ERROR(negative, InvalidResult, host.run<unsigned>("evaluates", of("-1")));
  REQUIRE_ERROR(unsigned_large, InvalidResult, host.run<std::int64_t>("evaluates", of("2**64 - 1")));
  REQUIRE_ERROR(below, InvalidResult, host.run<signed char>("evaluates", of("-129")));
  REQUIRE_ERROR(truth, InvalidResult, host.run<int>("evaluates", of("True")));
  REQUIRE_ERROR(float_large, InvalidResult, host.run<float>("evaluates", of("1e300")));
}

TEST_CASE("a state that is made from a temporary Json owns it") {
  Host host(over_fixtures());
  const State state = Json{{"a", 1}};
  std::vector<State> states;
  states.push_back(Json{{"a", 2}});
  states.push_back(State(Json{{"a", 3}}));
  CHECK(host.run("returns_state", state) == Json{{"a", 1}});
  CHECK(host.run("returns_state", states[0]) == Json{{"a", 2}});
  CHECK(host.run("returns_state", states[1]) == Json{{"a", 3}});
}

TEST_CASE("braces around one value are refused with a hint") {
  Host host(over_fixtures());
  const Json json{{"a", 1}};
  REQUIRE_ERROR(error, InvalidState, host.run("returns_state", {json}));
  CHECK_SAYS(error, "C++ braces around one value make an array");
}

namespace {

std::mutex shared_mutex;

struct Locks {
  int value = 0;
};
void from_json(const Json& json, Locks& to) {
  const std::lock_guard lock(shared_mutex);
  to.value = json.at("value");
}

}  // namespace

TEST_CASE("from_json of the application may wait for a thread that runs modules") {
  Host host(over_fixtures());
  std::unique_lock lock(shared_mutex);
  std::thread reads([&] { CHECK(host.run<Locks>("returns_state", {{"value", 1}}).value == 1); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(host.run("returns_state", {{"value", 2}}) == Json{{"value", 2}});  // while the mutex is locked
  lock.unlock();
  reads.join();
}

TEST_CASE("a state or an outcome that does not fit its type is named in the error") {
  Host host(over_fixtures());
  const Instance instance = echo(host).create({{"symbol", "A"}});
  REQUIRE_ERROR(state, InvalidResult, instance.state<Quote>());
  CHECK_SAYS(state, "the state does not fit the C++ type market::Quote");
  Pool pool(host, {.workers = 1});
  const std::vector<Json> states{Json::object(), Json{{"symbol", "A"}}};
  std::vector<Outcome> outcomes;
  for (const Outcome& outcome : pool.map("returns_state", states)) outcomes.push_back(outcome);
  REQUIRE_ERROR(second, InvalidResult, outcomes[1].result<Quote>());
  CHECK_SAYS(second, "the result of state 1 does not fit");
}

TEST_CASE("runs, services and logs can be moved from, and outlive their host") {
  std::optional<Host> host(over_fixtures());
  std::optional<Pool> pool(std::in_place, *host, PoolOptions{.workers = 1});
  Runs runs = pool->runs("returns_state");
  const Runs moved = std::move(runs);
  REQUIRE_ERROR(error, HostClosed, (runs.put({}), 0));
  CHECK(error.closed() == Closed::Handle);
  HostServices services = host->services();
  const HostServices others = std::move(services);
  services.provide("third", [](const Json&) { return Json(3); });
  CHECK(others.withdraw("third"));
  const HostLogs logs = host->logs();
  pool.reset();
  host.reset();
  CHECK(logs.flush());
  REQUIRE_ERROR(late, HostClosed, (others.provide("third", [](const Json&) { return Json(3); }), 0));
  CHECK(late.closed() == Closed::Host);
}
