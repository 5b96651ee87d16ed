#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "support.hpp"

using namespace pyhost;
using test::over_fixtures;

namespace {

struct NoMarket : std::runtime_error {
  explicit NoMarket(int number) : std::runtime_error("no market"), code(number) {}
  int code;
};

// The value of an expression in a module, after some statements.
Json evaluated(Host& host, const std::string& give, const std::string& first = {}) {
  const std::string imports = "import pyhost\nfrom pyhost import services\n";
  return host.run("evaluates", {{"first", imports + first}, {"give", give}});
}

Json echo(const Json& arguments) { return arguments; }

}  // namespace

TEST_CASE("a module calls a service with a dict, with keyword arguments or without arguments") {
  Host host(over_fixtures());
  host.services().provide("echo", echo);
  CHECK(evaluated(host, "services.echo({'a': [1, None, 'ü']})") == Json{{"a", {1, nullptr, "ü"}}});
  CHECK(evaluated(host, "services.echo(a=1, b={'c': 2.5})") == Json{{"a", 1}, {"b", {{"c", 2.5}}}});
  CHECK(evaluated(host, "services.echo(self=1)") == Json{{"self", 1}});
  CHECK(evaluated(host, "services.echo()") == Json::object());
  host.services().provide("seven", [](const Json&) -> Json { return 7; });
  CHECK(evaluated(host, "services.seven()") == 7);
  CHECK(evaluated(host, "seven() + pyhost.services.seven()", "from pyhost.services import seven") == 14);
}

TEST_CASE("a service can have any name that a module can have") {
  Host host(over_fixtures());
  for (const char* name : {"sys", "Any", "Service", "HostClosed", "print", "match"}) {
    host.services().provide(name, [=](const Json&) -> Json { return name; });
    CHECK(evaluated(host, std::string("services.") + name + "()") == name);
  }
}

TEST_CASE("wrong arguments of a service raise a TypeError that says what it takes") {
  Host host(over_fixtures());
  host.services().provide("echo", echo);
  for (const auto& [call, part] : std::vector<std::pair<std::string, std::string>>{
           {"services.echo(1)", "services.echo takes one dict or keyword arguments, but got int"},
           {"services.echo({}, {})", "got 2 positional arguments"},
           {"services.echo({}, a=1)", "got dict and keyword arguments"},
           {"services.echo(a={1})", "the argument of services.echo at /a is of type set"}}) {
    REQUIRE_ERROR(error, ModuleRaised, evaluated(host, call));
    CHECK(error.exception().type == "TypeError");
    CHECK_SAYS(error, part);
  }
}

TEST_CASE("an unknown service raises an AttributeError that names similar ones") {
  Host host(over_fixtures());
  host.services().provide("quote", echo);
  REQUIRE_ERROR(error, ModuleRaised, evaluated(host, "services.qoute()"));
  CHECK(error.exception().type == "pyhost.ServiceNotFound");
  CHECK_SAYS(error, "the host provides no service 'qoute'; did you mean 'quote'?");
  CHECK(evaluated(host, "[hasattr(services, 'qoute'), hasattr(services, 'quote'), dir(services)]") ==
        Json{false, true, {"quote"}});
}

TEST_CASE("an exception of a service becomes a ServiceError in the module") {
  Host host(over_fixtures());
  host.services().provide("fails", [](const Json&) -> Json { throw NoMarket(7); });
  host.services().provide("fails_oddly", [](const Json&) -> Json { throw 7; });
  host.services().provide("answers_nan", [](const Json&) -> Json { return {{"a", 0.0 / 0.0}}; });
  host.services().provide("runs", [&](const Json&) -> Json { return host.run("raises_in_run"); });
  const auto seen = [&](const std::string& service) {
    return evaluated(host, "seen",
                     "try:\n    services." + service +
                         "()\nexcept pyhost.ServiceError as e:\n"
                         "    seen = [e.service, e.type, e.message, e.kind]\n");
  };
  CHECK(seen("fails")[0] == "fails");
  CHECK(seen("fails")[1].get<std::string>().find("NoMarket") != std::string::npos);
  CHECK(seen("fails")[2] == "no market");
  CHECK(seen("fails")[3] == nullptr);
  CHECK(seen("fails_oddly")[1] == "int");
  CHECK(seen("answers_nan")[2] ==
        "the answer of service 'answers_nan' at /a is NaN or infinite, which JSON does not have");
  CHECK(seen("runs")[1] == "pyhost::Error");
  CHECK(seen("runs")[3] == "ModuleRaised");
}

TEST_CASE("an uncaught exception of a service is rethrown as the same C++ exception") {
  std::vector<std::string> told;
  Options options = over_fixtures();
  options.callbacks.on_error = [&](const Error& error) { told.push_back(error.exception().type); };
  Host host(options);
  host.services().provide("quote", [](const Json&) -> Json { throw NoMarket(7); });
  const auto code_of = [](const auto& action) {
    try {
      action();
    } catch (const NoMarket& thrown) {
      return thrown.code;
    }
    return 0;
  };
  CHECK(code_of([&] { evaluated(host, "services.quote()"); }) == 7);
  CHECK(code_of([&] { host.load("asks_in_create").create(); }) == 7);
  CHECK(code_of([&] { host.load("asks_in_import"); }) == 7);
  CHECK(code_of([&] {
          evaluated(host, "1", "try:\n    services.quote()\nexcept pyhost.ServiceError as e:\n    raise\n");
        }) == 7);
  CHECK(told == std::vector<std::string>(4, "pyhost.ServiceError"));
}

TEST_CASE("an exception of a service is the same C++ exception on every way out of the module") {
  Host host(over_fixtures());
  host.services().provide("quote", [](const Json&) -> Json { throw NoMarket(7); });
  const auto create = [&](const std::string& first, const std::string& give) {
    return host.load("evaluates")
        .create({{"first", "from pyhost import services\n" + first}, {"give", give}});
  };
  CHECK_THROWS_AS(create("", "services.quote()").run<Buffer>(), NoMarket);
  CHECK_THROWS_AS(create("", "services.quote()").run<std::string>(), NoMarket);
  CHECK_THROWS_AS(
      create("import asyncio", "asyncio.run(asyncio.wait_for(asyncio.to_thread(services.quote), 60))").run(),
      NoMarket);
  CHECK_THROWS_AS(create("from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor()",
                         "pool.submit(services.quote).result()")
                      .run(),
                  NoMarket);
  Instance closes = host.load("asks_when_closed").create();
  CHECK(closes.run() == 1);
  CHECK_THROWS_AS(closes.close(), NoMarket);
  CHECK_THROWS_AS(host.run("asks_when_closed"), NoMarket);
}

TEST_CASE("an exception that a module raises because of a service is the module's own error") {
  Host host(over_fixtures());
  host.services().provide("quote", [](const Json&) -> Json { throw NoMarket(7); });
  const std::string caught = "try:\n    services.quote()\nexcept pyhost.ServiceError as e:\n    ";
  REQUIRE_ERROR(error, ModuleRaised, evaluated(host, "1", caught + "raise ValueError('closed') from e\n"));
  CHECK(error.exception().type == "ValueError");
  CHECK_SAYS(error, "caused by pyhost.ServiceError: service 'quote': ");
  // Not even an exception with the attributes of the first one.
  const std::string copy =
      "f = pyhost.ServiceError('a', 'b', 'c'); f.__dict__.update(e.__dict__)\n    raise f\n";
  REQUIRE_ERROR(copied, ModuleRaised, evaluated(host, "1", caught + copy));
  CHECK(copied.exception().type == "pyhost.ServiceError");
}

TEST_CASE("a service can be replaced and withdrawn while modules use it") {
  Host host(over_fixtures());
  const Instance asks =
      host.load("evaluates")
          .create({{"first", "from pyhost import services"}, {"give", "services.number()"}});
  REQUIRE_ERROR(before, ModuleRaised, asks.run());
  host.services().provide("number", [](const Json&) -> Json { return 1; });
  CHECK(asks.run() == 1);
  host.services().provide("number", [&](const Json&) -> Json {
    host.services().provide("number", [](const Json&) -> Json { return 3; });  // a service may replace itself
    return 2;
  });
  CHECK(asks.run() == 2);
  CHECK(asks.run() == 3);
  CHECK(host.services().withdraw("number"));
  CHECK_FALSE(host.services().withdraw("number"));
  REQUIRE_ERROR(after, ModuleRaised, asks.run());
  CHECK_SAYS(after, "no service 'number'");
}

TEST_CASE("the function of a service is destroyed without the GIL") {
  Host host(over_fixtures());
  struct RunsInTheEnd {
    Host& of;
    Json& result;
    ~RunsInTheEnd() {
      std::thread([this] { result = of.run("returns_state", {{"a", 1}}); }).join();
    }
  };
  Json result;
  host.services().provide("withdraws_itself",
                          [&, held = std::make_shared<RunsInTheEnd>(host, result)](const Json&) -> Json {
                            return host.services().withdraw("withdraws_itself");
                          });
  CHECK(evaluated(host, "services.withdraws_itself()") == true);
  CHECK(result == Json{{"a", 1}});
}

TEST_CASE("a service name that is not one identifier is refused") {
  Host host(over_fixtures());
  for (const char* name : {"", "a.b", "7up", "class", "_private", "with space", "__init__"}) {
    REQUIRE_ERROR(error, InvalidName, (host.services().provide(name, echo), 0));
    CHECK_SAYS(error, "cannot be a service");
  }
  REQUIRE_ERROR(error, InvalidName, (host.services().provide("nothing", nullptr), 0));
  CHECK_SAYS(error, "its function is empty");
}

TEST_CASE("a service is called on the module's thread without the GIL") {
  Host host(over_fixtures());
  host.services().provide("check", [&](const Json&) -> Json {
    Json other;
    std::thread([&] { other = host.run("returns_state", {{"a", 1}}); }).join();
    return {std::hash<std::thread::id>()(std::this_thread::get_id()), other};
  });
  const Json here = std::hash<std::thread::id>()(std::this_thread::get_id());
  CHECK(evaluated(host, "services.check()") == Json{here, {{"a", 1}}});
}

TEST_CASE("a module can call a service from its own threads, tasks and executors") {
  Host host(over_fixtures());
  host.services().provide("thread", [](const Json& asked) -> Json {
    return {asked["n"], std::hash<std::thread::id>()(std::this_thread::get_id())};
  });
  const Json here = std::hash<std::thread::id>()(std::this_thread::get_id());
  for (const auto& [first, give] : std::vector<std::pair<std::string, std::string>>{
           {"import threading\nsaid = []\n"
            "each = threading.Thread(target=lambda: said.append(services.thread(n=1)))\n"
            "each.start(); each.join()",
            "said[0]"},
           {"import asyncio", "asyncio.run(asyncio.wait_for(asyncio.to_thread(services.thread, n=1), 60))"},
           {"from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor()",
            "pool.submit(services.thread, n=1).result()"}}) {
    const Json said = evaluated(host, give, first);
    CHECK(said[0] == 1);
    CHECK(said[1] != here);
  }
}

TEST_CASE("a child that a module forks cannot call the services of its parent's host") {
  Host host(over_fixtures());
  host.services().provide("echo", echo);
  const char* const forks =
      "import os\n"
      "child = os.fork()\n"
      "if child == 0:\n"
      "    try:\n"
      "        services.echo()\n"
      "    except pyhost.HostClosed as error:\n"
      "        os._exit(7 if 'forked' in str(error) else 1)\n"
      "    os._exit(2)\n";
  CHECK(evaluated(host, "os.waitpid(child, 0)[1] >> 8", forks) == 7);
  CHECK(evaluated(host, "services.echo(a=1)") == Json{{"a", 1}});
}

TEST_CASE("services are provided, called and withdrawn by many threads at once") {
  Host host(over_fixtures());
  host.services().provide("echo", echo);
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const std::string mine = "echo" + std::to_string(i);
      for (int j = 0; j < 25; ++j) {
        host.services().provide(mine, echo);
        if (evaluated(host, "services." + mine + "(a=" + std::to_string(j) + ")") == Json{{"a", j}}) ++right;
        host.services().provide("echo", echo);
        if (evaluated(host, "services.echo()") == Json::object()) ++right;
        host.services().withdraw(mine);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 200);
}

TEST_CASE("withdraw returns once no call is in the service") {
  Host host(over_fixtures());
  std::promise<void> begun, go_on;
  std::atomic<bool> ended = false;
  host.services().provide("waits", [&, kept = std::make_shared<int>(1)](const Json&) -> Json {
    begun.set_value();
    go_on.get_future().wait();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    ended = true;
    return *kept;
  });
  std::thread caller([&] { evaluated(host, "services.waits()"); });
  begun.get_future().wait();
  std::thread([&] { go_on.set_value(); }).detach();
  CHECK(host.services().withdraw("waits"));
  CHECK(ended);
  caller.join();
}

TEST_CASE("services can withdraw and replace each other on two threads at once") {
  Host host(over_fixtures());
  std::atomic<int> inside = 0;
  const auto meet = [&] {
    ++inside;
    while (inside < 2) std::this_thread::yield();
  };
  host.services().provide("a", [&, kept = std::make_shared<int>(1)](const Json&) -> Json {
    meet();
    host.services().withdraw("b");
    return *kept;
  });
  host.services().provide("b", [&, kept = std::make_shared<int>(2)](const Json&) -> Json {
    meet();
    host.services().provide("a", echo);
    return *kept;
  });
  Json a, b;
  std::thread first([&] { a = evaluated(host, "services.a()"); });
  std::thread second([&] { b = evaluated(host, "services.b()"); });
  first.join();
  second.join();
  CHECK(a == 1);
  CHECK(b == 2);
  CHECK(evaluated(host, "[services.a(), hasattr(services, 'b')]") == Json{Json::object(), false});
}

TEST_CASE("services and modules can call each other up to a hundred levels deep") {
  Host host(over_fixtures());
  int most = 0;
  host.services().provide("deeper", [&](const Json& arguments) -> Json {
    const int level = arguments["level"];
    most = std::max(most, level);
    if (level == arguments["last"]) return level;
    return evaluated(host, "services.deeper(level=" + std::to_string(level + 1) +
                               ", last=" + arguments["last"].dump() + ")");
  });
  CHECK(evaluated(host, "services.deeper(level=1, last=100)") == 100);
  REQUIRE_ERROR(error, ModuleRaised, evaluated(host, "services.deeper(level=1, last=101)"));
  CHECK(error.exception().type == "RecursionError");
  CHECK_SAYS(error, "more than 100 nested calls of services");
  CHECK(most == 100);
}

TEST_CASE("nested calls on a small stack end with an error before the stack overflows") {
  Host host(over_fixtures());
  int most = 0;
  host.services().provide("deeper", [&](const Json& arguments) -> Json {
    most = arguments["level"];
    return evaluated(host, "services.deeper(level=" + std::to_string(most + 1) + ")");
  });
  for (const char* kilobytes : {"256", "128"}) {
    const std::string first =
        "import threading\nsaid = []\n"
        "def deep():\n    try: services.deeper(level=1)\n    except Exception as e: said.append(str(e))\n"
        "before = threading.stack_size(" +
        std::string(kilobytes) +
        " * 1024)\n"
        "each = threading.Thread(target=deep)\neach.start(); each.join()\nthreading.stack_size(before)";
    const std::string said = evaluated(host, "said[0]", first).get<std::string>();
    CHECK_MESSAGE(said.find("RecursionError: services.deeper: too little of the thread's stack is left") !=
                      std::string::npos,
                  said);
    CHECK(most < 100);
  }
}

TEST_CASE("a service can hide a name of Python and have any text as its documentation") {
  Host host(over_fixtures());
  const std::string doc = "\xF0\x9F\x98\x80 of \"x\"\nand \\ more";
  for (const char* name : {"Any", "dict", "str", "overload"}) host.services().provide(name, echo, doc);
  CHECK(host.services().stubs().find("\n    \"\xF0\x9F\x98\x80 of \\\"x\\\"\\nand \\\\ more\"\n") !=
        std::string::npos);
  host.services().provide("reads", [&](const Json&) -> Json { return host.services().stubs(); });
  CHECK(evaluated(host, "ast.get_docstring(ast.parse(services.reads()).body[2], clean=False)",
                  "import ast") == doc);
}

TEST_CASE("a prefix of a service name is not a service") {
  Host host(over_fixtures());
  host.services().provide("quote", echo);
  CHECK(evaluated(host, "[hasattr(services, n) for n in ('quote', 'quote\\0x', 'quot\\udc80')]") ==
        Json{true, false, false});
}

TEST_CASE("a host describes its services as a stub file") {
  Host host(over_fixtures());
  CHECK(host.services().stubs().find("This host provides no services") != std::string::npos);
  host.services().provide("quote", echo, "The price of a symbol.");
  host.services().provide("book", echo);
  const std::string stubs = host.services().stubs();
  CHECK(stubs.find("def quote(arguments: _dict[_str, _Any], /) -> _Any:\n    \"The price of a symbol.\"\n") !=
        std::string::npos);
  CHECK(stubs.find("def book(**arguments: _Any) -> _Any: ...\n") != std::string::npos);
  CHECK(evaluated(host, "[services.quote.__doc__, services.book.__doc__]") ==
        Json{"The price of a symbol.", nullptr});
}
