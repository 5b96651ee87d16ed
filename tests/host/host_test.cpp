#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "support.hpp"

using namespace pyhost;
using test::fixtures;
using test::over_fixtures;

TEST_CASE("the module of the article runs") {
  Host host({.module_paths = {PYHOST_SHIPPED}});
  CHECK(host.run("mod1") == nullptr);
  CHECK(host.run<std::string>("mod1") == "null");
}

TEST_CASE("only one host can be open at a time, and another one afterwards") {
  {
    Host host(over_fixtures());
    REQUIRE_ERROR(error, StartupFailed, [] { return Host(over_fixtures()).run("wins"); }());
    CHECK_SAYS(error, "already open");
    CHECK(host.run("wins") == "second");
  }
  for (int i = 0; i < 20; ++i) {
    Host next(over_fixtures());
    CHECK(next.run("wins") == "second");
  }
}

TEST_CASE("a host that failed to open does not prevent the next one") {
  REQUIRE_ERROR(error, StartupFailed,
                [] { return Host({.module_paths = {"no/such/folder"}}).run("wins"); }());
  CHECK(Host(over_fixtures()).run("wins") == "second");
}

TEST_CASE("a module is imported once by a host, and again by the next") {
  unsetenv("PYHOST_TEST_IMPORTS");
  {
    Host host(over_fixtures());
    CHECK(host.run("counts_imports") == 1);
    CHECK(host.run("counts_imports") == 1);
  }
  Host host(over_fixtures());
  // os.environ still holds the 1 of the first import, since Python keeps running. The module is imported
  // anew.
  CHECK(host.run("counts_imports") == 2);
}

TEST_CASE("every create receives its own state") {
  Host host(over_fixtures());
  const Module module = host.load("keeps_its_state");
  const Instance first = module.create();
  CHECK(first.run() == 1);
  CHECK(first.run() == 2);
  CHECK(module.create().run() == 1);
}

TEST_CASE("a run method that is assigned after create is called") {
  Host host(over_fixtures());
  CHECK(host.run("gets_its_run_late") == "late");
}

TEST_CASE("any thread can load, create and run") {
  Host host(over_fixtures());
  const Module shared = host.load("returns_state");
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < 50; ++j) {
        const Json state{{"thread", i}, {"call", j}};
        if (shared.create(state).run() == state && host.run("returns_state", state) == state) ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 400);
}

TEST_CASE("a handle that outlives its host reports HostClosed, and can be destroyed on any thread") {
  std::optional<Module> module;
  std::optional<Instance> instance;
  {
    Host host(over_fixtures());
    module = host.load("returns_state");
    instance = module->create();
  }
  REQUIRE_ERROR(create, HostClosed, module->create());
  REQUIRE_ERROR(run, HostClosed, instance->run());
  CHECK_SAYS(run, "a host that is closed");
  CHECK(module->name() == "returns_state");

  Host next(over_fixtures());
  REQUIRE_ERROR(still, HostClosed, instance->run());
  CHECK(next.run("returns_state", {{"a", 1}}) == Json{{"a", 1}});
  std::thread([moved = std::move(*module), copied = *instance] {}).join();
}

TEST_CASE("a static handle does not crash at the end of the process") {
  static std::optional<Instance> kept;
  Host host(over_fixtures());
  kept = host.load("returns_state").create();
  CHECK(kept->run() == Json::object());
}

TEST_CASE("the error of an unknown module names the searched paths and similar names") {
  Host host({.module_paths = {fixtures, PYHOST_SHIPPED}});
  REQUIRE_ERROR(error, ModuleNotFound, host.load("retruns_state"));
  CHECK_SAYS(error, (fixtures / "modules").string());
  CHECK_SAYS(error, PYHOST_SHIPPED "/modules");
  CHECK_SAYS(error, "did you mean 'returns_state'?");
  REQUIRE_ERROR(dotted, ModuleNotFound, host.load("package.prat"));
  CHECK_SAYS(dotted, "did you mean 'package.part'?");
  REQUIRE_ERROR(far, ModuleNotFound, host.load("nothing_like_it_at_all"));
  CHECK(far.hint().empty());
}

TEST_CASE("a module whose import fails is not reported as missing") {
  Host host(over_fixtures());
  const auto check = [&](const char* name, const char* type, const char* message) {
    CAPTURE(name);
    REQUIRE_ERROR(error, ImportFailed, host.load(name));
    CHECK(error.phase() == Phase::Import);
    CHECK(error.exception().type == type);
    CHECK_SAYS(error, message);
    CHECK_SAYS(error, name);
    REQUIRE_FALSE(error.exception().frames.empty());
    CHECK(error.exception().frames.back().file == (fixtures / "modules" / name).string() + ".py");
  };
  check("raises_in_import", "ZeroDivisionError", "division by zero");
  check("exits_in_import", "SystemExit", "0");
  check("imports_what_is_missing", "ModuleNotFoundError", "No module named 'no_such_package_anywhere'");
  check("imports_a_missing_module", "ImportError", "no_such_module");
}

TEST_CASE("a module that failed to import is imported again after it is fixed") {
  const auto folder = std::filesystem::temp_directory_path() / ("pyhost-mended-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder / "modules");
  const auto write = [&](const char* text) { std::ofstream(folder / "modules" / "young.py") << text; };
  {
    Host host({.module_paths = {folder}});
    REQUIRE_ERROR(missing, ModuleNotFound, host.load("young"));
    write("1 / 0\n");
    REQUIRE_ERROR(broken, ImportFailed, host.load("young"));
    write("class M:\n    def run(self): return 'mended'\ndef create(state): return M()\n");
    CHECK(host.run("young") == "mended");
  }
  std::filesystem::remove_all(folder);
}

TEST_CASE("a print statement of Python 2 is recognized, with file and line") {
  Host host(over_fixtures());
  REQUIRE_ERROR(error, ImportFailed, host.load("is_python2"));
  CHECK(error.exception().type == "SyntaxError");
  const Frame& place = error.exception().frames.back();
  CHECK(place.file == (fixtures / "modules/is_python2.py").string());
  CHECK(place.line == 3);
  CHECK(place.source == R"(        print "This is module1 doing its thing")");
  CHECK_SAYS(error, "this looks like Python 2");
  CHECK_SAYS(error, "is_python2.py:3");
}

TEST_CASE("the error of a broken contract says what is missing, with file and line") {
  Host host(over_fixtures());
  const auto check = [&](const char* name, Phase phase, int line, const char* message) {
    CAPTURE(name);
    REQUIRE_ERROR(error, BadContract, host.run(name));
    CHECK(to_string(error.phase()) == to_string(phase));
    CHECK_SAYS(error, message);
    CHECK(error.place().file == (fixtures / "modules" / name).string() + ".py");
    CHECK(error.place().line == line);
    CHECK(error.to_json()["place"]["line"] == line);
    CHECK_FALSE(error.hint().empty());
  };
  check("has_no_create", Phase::Import, 1, "has no create");
  check("has_create_that_is_a_number", Phase::Import, 1, "create is not callable but of type int");
  check("has_create_of_no_argument", Phase::Create, 4, "create(state) cannot be called");
  check("has_create_of_two_arguments", Phase::Create, 1, "missing 1 required positional argument: 'more'");
  check("creates_none", Phase::Run, 1, "returned None, which has no run");
  check("has_no_run", Phase::Run, 1, "has no run");
  check("has_getattr_but_no_run", Phase::Run, 1, "has no run");
  check("has_run_that_is_a_number", Phase::Run, 1, "run is not callable but of type int");
  check("has_run_of_one_argument", Phase::Run, 2, "run() cannot be called");
  REQUIRE_ERROR(coroutine, BadContract, host.run("has_async_create"));
  CHECK_SAYS(coroutine, "coroutine");
}

TEST_CASE("an exception of a module becomes an error with its type, message and frames") {
  Host host(over_fixtures());
  REQUIRE_ERROR(error, ModuleRaised, host.run("raises_in_create"));
  CHECK(error.phase() == Phase::Create);
  CHECK(error.module() == "raises_in_create");
  CHECK(error.message() == "module 'raises_in_create' raised ValueError: bad threshold: -3");
  REQUIRE(error.exception().frames.size() == 1);
  CHECK(error.exception().frames[0].line == 2);
  CHECK(error.exception().frames[0].function == "create");
  CHECK(error.exception().frames[0].source == R"(    raise ValueError("bad threshold: -3"))");
  const Json json = error.to_json();
  CHECK(json["schema"] == 1);
  CHECK(json["kind"] == "ModuleRaised");
  CHECK(json["phase"] == "create");
  CHECK(json["exception"]["type"] == "ValueError");
  CHECK(json["exception"]["frames"][0]["line"] == 2);
  CHECK(error.rendered() == "module 'raises_in_create' raised ValueError: bad threshold: -3\n  " +
                                (fixtures / "modules/raises_in_create.py").string() +
                                ":2 in create\n    raise ValueError(\"bad threshold: -3\")\n");
}

TEST_CASE("SystemExit and KeyboardInterrupt of a module do not end its host") {
  Host host(over_fixtures());
  for (const auto& [what, type] :
       {std::pair{"exit", "SystemExit"}, {"interrupt", "KeyboardInterrupt"}, {"base", "BaseException"}}) {
    REQUIRE_ERROR(error, ModuleRaised, host.run("raises_in_run", {{"what", what}}));
    CHECK(error.exception().type == type);
    CHECK(error.phase() == Phase::Run);
  }
  CHECK(host.run("wins") == "second");
}

TEST_CASE("a TypeError or AttributeError of the module is not reported as a broken contract") {
  Host host(over_fixtures());
  REQUIRE_ERROR(type_error, ModuleRaised, host.run("raises_type_error_in_create"));
  CHECK(type_error.exception().type == "TypeError");
  REQUIRE_ERROR(attribute_error, ModuleRaised, host.run("has_run_property_that_raises"));
  CHECK(attribute_error.exception().type == "AttributeError");
}

TEST_CASE("a module that is replaced in sys.modules, or has a new create, is not run from the cache") {
  Host host(over_fixtures());
  // The second run finds the module in the cache, and the third one finds that nothing has changed since.
  const auto three_results = [&] { return Json{host.run("wins"), host.run("wins"), host.run("wins")}; };
  const auto three_times = [](const char* result) { return Json{result, result, result}; };
  CHECK(three_results() == three_times("second"));
  const auto python = [&](const std::string& statement) {
    return host.run("evaluates", {{"give", "None"}, {"first", statement}});
  };
  python(
      "import sys, types\n"
      "class Other:\n"
      "  def run(self): return 'other'\n"
      "def another(state): return Other()\n"
      "sys.modules['modules.wins'].create = another");
  CHECK(three_results() == three_times("other"));
  python("import sys; del sys.modules['modules.wins']");
  CHECK(three_results() == three_times("second"));
  python(
      "import sys, types; stand_in = types.ModuleType('modules.wins')\n"
      "class Last:\n"
      "  def run(self): return 'stand-in'\n"
      "stand_in.create = lambda state: Last(); sys.modules['modules.wins'] = stand_in");
  CHECK(three_results() == three_times("second"));  // the file takes precedence over the replacement
  python("import sys; del sys.modules['modules']; del sys.modules['modules.wins']");
  CHECK(three_results() == three_times("second"));
}

TEST_CASE("a path of the package modules that a module has changed is restored before the next run") {
  Host host(over_fixtures());
  const Json count_paths = {{"give", "len(sys.modules['modules'].__path__)"}, {"first", "import sys"}};
  const Json paths = host.run("evaluates", count_paths);
  for (int i = 0; i < 2; ++i) {
    host.run("evaluates", {{"give", "None"}, {"first", "import sys; sys.modules['modules'].__path__ = []"}});
    CHECK(host.run("evaluates", count_paths) == paths);
  }
}

TEST_CASE("a module that changes its own globals at each run keeps them when it is run by name") {
  const test::ModuleFolder folder;
  folder.write("counts_runs.py",
               "runs = 0\n"
               "class Module:\n"
               "  def run(self):\n"
               "    global runs\n"
               "    runs += 1\n"
               "    return runs\n"
               "def create(state): return Module()\n");
  Host host(folder.options());
  for (int i = 1; i <= 5; ++i) CHECK(host.run("counts_runs") == i);
}

TEST_CASE("each of many loaded modules is run by its name") {
  constexpr int many = 30;
  const test::ModuleFolder folder;
  const auto name = [](int i) { return "numbered_" + std::to_string(i); };
  for (int i = 0; i < many; ++i) {
    folder.write(name(i) + ".py",
                 "class Module:\n"
                 "  def run(self): return __name__\n"
                 "def create(state): return Module()\n");
  }
  Host host(folder.options());
  for (int times = 0; times < 2; ++times) {
    for (int i = 0; i < many; ++i) CHECK(host.run(name(i)) == "modules." + name(i));
  }
  CHECK_THROWS_AS(host.run("numbered_" + std::to_string(many)), Error);
}

TEST_CASE("the object of a temporary instance is destroyed after its run, otherwise with the last handle") {
  Host host(over_fixtures());
  const Module module = host.load("counts_its_objects");
  CHECK(module.create().run() == 1);
  CHECK(module.create().run() == 1);
  {
    const Instance kept = module.create();
    CHECK(kept.run() == 1);
    CHECK(Instance(kept).run() == 1);
    CHECK(module.create().run() == 2);
  }
  CHECK(host.run("counts_its_objects") == 1);
  CHECK(host.run<std::string>("counts_its_objects", "{}") == "1");
}

TEST_CASE("a thread keeps its Python thread-local data between calls") {
  Host host(over_fixtures());
  const Module module = host.load("counts_in_its_thread");
  CHECK(module.create().run() == 1);
  CHECK(module.create().run() == 2);
  for (int i = 0; i < 100; ++i) {
    std::thread([&] {
      CHECK(module.create().run() == 1);
      CHECK(module.create().run() == 2);
      CHECK(host.run("counts_in_its_thread") == 3);
    }).join();
  }
  CHECK(module.create().run() == 3);
}

TEST_CASE("200,000 runs do not grow memory") {
  const auto resident = [] {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmRSS:")) return std::stol(line.substr(6));
    }
    return 0L;
  };
  Host host(over_fixtures());
  const Module module = host.load("returns_state");
  const auto run = [&](int times) {
    for (int i = 0; i < times; ++i) {
      module.create().run();
      host.run("returns_state", R"({"a":[1,2.5,"three"]})");
    }
  };
  run(20000);
  const long before = resident();
  REQUIRE(before > 0);
  run(90000);
#ifndef PYHOST_SANITIZED  // the sanitizer keeps freed memory for a while, to find uses after free
  CHECK(resident() - before < 1024);
#endif
}
