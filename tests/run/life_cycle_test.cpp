#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "support.hpp"

using namespace pyhost;
using test::evaluated;
using test::fixtures;
using test::ModuleFolder;
using test::over_fixtures;
using test::told;

namespace {

// Records the calls of on_event as "kind module", and failures with their phase.
struct Recorder {
  std::vector<std::string> said = {};
  std::vector<RunId> runs = {};

  std::function<void(const Event&)> function() {
    return [this](const Event& event) {
      std::string line = std::string(to_string(event.kind)) + " " + std::string(event.module);
      if (event.error != nullptr) line += " in " + std::string(to_string(event.error->phase()));
      said.push_back(line);
      runs.push_back(event.run);
      CHECK(event.seconds.count() >= 0);
      CHECK(event.start <= std::chrono::system_clock::now());
      CHECK((event.error != nullptr) == (event.kind == EventKind::Failed));
    };
  }

  bool one_run() const {
    return std::ranges::all_of(runs, [&](RunId id) { return id == runs.front(); });
  }
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("on_event reports all steps of a run with the same id") {
  Recorder recorder;
  Host host({.module_paths = {fixtures}, .callbacks = {.on_event = recorder.function()}});
  host.run("wins");
  CHECK(recorder.said ==
        Lines{"Found wins", "Imported wins", "Created wins", "RunStarted wins", "RunEnded wins"});
  CHECK(recorder.one_run());
  const RunId first = recorder.runs.front();
  CHECK(first > 0);
  recorder.said.clear();
  recorder.runs.clear();
  host.run<std::string>("wins", "{}");
  CHECK(recorder.said == Lines{"Created wins", "RunStarted wins", "RunEnded wins"});
  CHECK(recorder.one_run());
  CHECK(recorder.runs.front() != first);
}

TEST_CASE("create and run have different ids if they are called separately") {
  Recorder recorder;
  Host host({.module_paths = {fixtures}, .callbacks = {.on_event = recorder.function()}});
  const Instance instance = host.load("wins").create();
  instance.run();
  instance.run();
  REQUIRE(recorder.runs.size() == 7);
  CHECK(recorder.runs[0] == recorder.runs[1]);  // found and imported
  CHECK(recorder.runs[1] != recorder.runs[2]);  // created
  CHECK(recorder.runs[2] != recorder.runs[3]);
  CHECK(recorder.runs[3] == recorder.runs[4]);  // started and ended
  CHECK(recorder.runs[4] != recorder.runs[5]);
}

TEST_CASE("on_event reports each failure once, with its error") {
  Recorder recorder;
  Host host({.module_paths = {fixtures}, .callbacks = {.on_event = recorder.function()}});
  REQUIRE_ERROR(missing, ModuleNotFound, host.run("no_such_module"));
  REQUIRE_ERROR(import, ImportFailed, host.run("raises_in_import"));
  REQUIRE_ERROR(create, ModuleRaised, host.run("raises_in_create"));
  REQUIRE_ERROR(result, InvalidResult, host.run("gives_a_set"));
  CHECK(recorder.said == Lines{"Failed no_such_module in find", "Found raises_in_import",
                               "Failed raises_in_import in import", "Found raises_in_create",
                               "Imported raises_in_create", "Failed raises_in_create in create",
                               "Found gives_a_set", "Imported gives_a_set", "Created gives_a_set",
                               "RunStarted gives_a_set", "Failed gives_a_set in result"});
}

TEST_CASE("exceptions of on_event are ignored, and runs within it are not reported") {
  int told = 0;
  Host* running = nullptr;
  Host host({.module_paths = {fixtures}, .callbacks = {.on_event = [&](const Event& event) {
                                           if (event.kind == EventKind::Unloaded) return;
                                           ++told;
                                           CHECK(running->run("returns_state", {{"a", 1}}) == Json{{"a", 1}});
                                           throw std::runtime_error("of no interest");
                                         }}});
  running = &host;
  CHECK(host.run("wins") == "second");
  CHECK(told == 5);
}

TEST_CASE("on_load, on_unload and close are called when a module is loaded, unloaded and closed") {
  Host host(over_fixtures());
  told(host);
  const Module module = host.load("tells_of_its_life");
  CHECK(told(host) == Lines{"load"});
  host.run("tells_of_its_life");
  CHECK(told(host) == Lines{"run it", "close it"});
  REQUIRE_ERROR(error, ModuleRaised, host.run("tells_of_its_life", {{"raises", true}}));
  CHECK(told(host) == Lines{"run it", "close it"});
  {
    const Instance first = module.create({{"name", "first"}});
    const Instance same = first;
    first.run();
    CHECK(told(host) == Lines{"run first"});
  }
  CHECK(told(host) == Lines{"close first"});
  Instance open = module.create({{"name", "open"}});
  std::thread([moved = module.create({{"name", "elsewhere"}})] {}).join();
  CHECK(told(host) == Lines{"close elsewhere"});
  CHECK(host.unload("tells_of_its_life"));
  CHECK(told(host) == Lines{"close open", "unload"});
  REQUIRE_ERROR(run, HostClosed, open.run());
  REQUIRE_ERROR(create, HostClosed, module.create());
  CHECK_SAYS(create, "has been unloaded");
  CHECK_FALSE(host.unload("tells_of_its_life"));
  CHECK(evaluated(host, "'modules.tells_of_its_life' in sys.modules or hasattr(modules, 'tells_of_its_life')",
                  "import sys, modules") == false);
  host.run("tells_of_its_life");
  CHECK(told(host) == Lines{"load", "run it", "close it"});
}

TEST_CASE("close() closes an object once, for all its handles") {
  Host host(over_fixtures());
  told(host);
  Instance instance = host.load("tells_of_its_life").create();
  const Instance same = instance;
  instance.close();
  CHECK(told(host) == Lines{"load", "close it"});
  REQUIRE_ERROR(again, HostClosed, [&] { return instance.close(), 0; }());
  REQUIRE_ERROR(run, HostClosed, same.run());
  CHECK_SAYS(run, "has been closed");
  REQUIRE_ERROR(state, HostClosed, same.state());
}

TEST_CASE(
    "close() destroys the object on the calling thread, and the last handle can be destroyed on another") {
  const ModuleFolder folder;
  folder.write("belongs_to_its_thread.py",
               "import sys, threading\n"
               "class Module:\n"
               "    def __init__(self): self.thread = threading.get_ident()\n"
               "    def __del__(self): sys.told.append(str(threading.get_ident() == self.thread))\n"
               "    def run(self): return 1\n"
               "def create(state): return Module()\n");
  Host host(folder.options());
  told(host);
  Instance instance = host.load("belongs_to_its_thread").create();
  instance.close();
  CHECK(told(host) == Lines{"True"});
  std::thread([last = std::move(instance)] {}).join();
  CHECK(told(host) == Lines{});
}

TEST_CASE("a context manager is entered after create and exited with the exception of its run") {
  Host host(over_fixtures());
  told(host);
  CHECK(host.run("is_a_context_manager", {{"by", 2}}) == 0.5);
  CHECK(told(host) == Lines{"enter", "exit None"});
  REQUIRE_ERROR(error, ModuleRaised, host.run("is_a_context_manager", {{"by", 0}}));
  CHECK(error.exception().type == "ZeroDivisionError");
  CHECK(told(host) == Lines{"enter", "exit ZeroDivisionError"});
}

TEST_CASE("closing a host closes its objects and unloads its modules, the last loaded first") {
  Recorder recorder;
  std::optional<Instance> outlives;
  {
    Host host({.module_paths = {fixtures}, .callbacks = {.on_event = recorder.function()}});
    outlives = host.load("tells_of_its_life").create();
    host.load("wins");
    recorder.said.clear();
  }
  CHECK(recorder.said == Lines{"Unloaded wins", "Closed tells_of_its_life", "Unloaded tells_of_its_life"});
  outlives.reset();
  Host next(over_fixtures());
  CHECK(told(next).back() == "unload");
}

TEST_CASE("a module that raises in on_load is not loaded") {
  Recorder recorder;
  Host host({.module_paths = {fixtures}, .callbacks = {.on_event = recorder.function()}});
  for (int i = 0; i < 2; ++i) {
    REQUIRE_ERROR(error, ImportFailed, host.run("raises_in_on_load"));
    CHECK(error.exception().type == "ConnectionError");
    CHECK(error.place().line == 14);
    CHECK_SAYS(error, "its on_load raised ConnectionError: no database there");
    CHECK(recorder.said.back() == "Failed raises_in_on_load in import");
    CHECK(evaluated(host,
                    "'modules.raises_in_on_load' in sys.modules or hasattr(modules, 'raises_in_on_load')",
                    "import sys, modules") == false);
  }
}

TEST_CASE("on_load, close and on_unload can be async") {
  {
    Host host(over_fixtures());
    CHECK(host.run("has_an_async_life") == "loaded");
  }
  Host next(over_fixtures());
  CHECK(told(next) == Lines{"closed", "unloaded"});
}

TEST_CASE("on_load does not block other modules, and can run its own") {
  std::atomic<bool> inside = false, open = false;
  Host host(over_fixtures());
  host.services().provide("gate", [&](const Json&) -> Json {
    const Json mine = host.run("asks_in_on_load");
    inside = true;
    while (!open) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return mine;
  });
  std::thread loads([&] { CHECK(host.run("asks_in_on_load") == Json{"done", 1}); });
  while (!inside) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  CHECK(host.run("wins") == "second");
  REQUIRE_ERROR(error, TimedOut,
                host.run("asks_in_on_load", {}, {.timeout = std::chrono::milliseconds(100)}));
  open = true;
  loads.join();
  CHECK(host.run("asks_in_on_load") == Json{"done", 1});
}

TEST_CASE("the error of a moved-from handle says so") {
  Host host(over_fixtures());
  Module module = host.load("wins");
  Instance instance = module.create();
  CHECK(std::move(instance).run() == "second");
  REQUIRE_ERROR(used, HostClosed, instance.run());
  CHECK_SAYS(used, "moved from");
  REQUIRE_ERROR(closed, HostClosed, instance.close());
  const Module other = std::move(module);
  REQUIRE_ERROR(moved, HostClosed, module.create());
  CHECK(module.name().empty());
  Stream stream = host.stream("wins");
  const Stream to = std::move(stream);
  CHECK_FALSE(stream.next().has_value());
  stream.close();
}

TEST_CASE("exceptions of close and on_unload are reported, and the shutdown continues") {
  std::vector<std::string> errors;
  const auto note = [&](const Error& error) {
    errors.push_back(std::string(to_string(error.phase())) + ": " + error.exception().message);
  };
  {
    Host host({.module_paths = {fixtures}, .callbacks = {.on_error = note}});
    REQUIRE_ERROR(error, ModuleRaised, host.run("raises_in_the_end"));
    CHECK_SAYS(error, "cannot close");
    const Instance kept = host.load("raises_in_the_end").create();
    CHECK(kept.run() == "done");
  }
  CHECK(errors == Lines{"close: cannot close", "close: cannot close", "close: cannot unload"});
}

TEST_CASE("an on_unload that hangs does not hang the host") {
  std::vector<std::string> errors;
  {
    Host host(
        {.module_paths = {fixtures},
         .callbacks = {.on_error = [&](const Error& error) { errors.emplace_back(to_string(error.kind())); }},
         .shutdown_timeout = std::chrono::milliseconds(50)});
    host.load("hangs_in_on_unload");
  }
  CHECK(errors == Lines{"TimedOut"});
}

TEST_CASE("Instance::state returns the state as the module left it") {
  Host host(over_fixtures());
  const Instance instance = host.load("keeps_its_state").create(R"({"z": 12345678901234567890123, "a": 1})");
  instance.run();
  CHECK(instance.state<std::string>() == R"({"z":12345678901234567890123,"a":1,"seen":1})");
  CHECK(host.load("keeps_its_state").create({{"a", 1}}).state() == Json{{"a", 1}});
  const Instance odd = host.load("evaluates").create({{"give", "state.update(odd={1})"}});
  odd.run();
  REQUIRE_ERROR(error, InvalidState, odd.state());
  CHECK(error.pointer() == "/odd");
}

TEST_CASE("a shutdown timeout of zero still closes open objects") {
  std::vector<std::string> errors;
  std::optional<Instance> open;
  {
    Host host(
        {.module_paths = {fixtures},
         .callbacks = {.on_error = [&](const Error& error) { errors.emplace_back(to_string(error.kind())); }},
         .shutdown_timeout = std::chrono::milliseconds(0)});
    told(host);
    open = host.load("tells_of_its_life").create();
  }
  for (const std::string& error : errors)
    CHECK(error == "TimedOut");  // a busy machine may exceed the timeout
  Host next(over_fixtures());
  if (errors.empty()) CHECK(told(next).back() == "unload");
}

TEST_CASE("an object that is closed during its run lives until the run returns") {
  const ModuleFolder folder;
  folder.write("waits_in_c.py",
               "import queue, weakref\n"
               "class Module(queue.SimpleQueue):\n"
               "    run = queue.SimpleQueue.get\n"  // C code that keeps no reference to its object
               "def create(state):\n"
               "    global made\n"
               "    module = Module()\n"
               "    made = weakref.ref(module)\n"
               "    return module\n");
  std::atomic<bool> begun = false;
  Options options = folder.options();
  options.callbacks.on_event = [&](const Event& event) {
    begun = begun || event.kind == EventKind::RunStarted;
  };
  Host host(options);
  Instance instance = host.load("waits_in_c").create();
  std::thread runs([&] { CHECK(instance.run() == 7); });
  while (!begun) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(500));  // by then the run is in C code
  Instance same = instance;
  same.close();
  CHECK(evaluated(host, "made.put(7)", "import gc, modules.waits_in_c as m; gc.collect(); made = m.made()") ==
        nullptr);
  runs.join();
}

TEST_CASE("an object that is closed just before its run starts does not run") {
  Instance* about_to_run = nullptr;
  Options options = over_fixtures();
  options.callbacks.on_event = [&](const Event& event) {
    if (event.kind == EventKind::RunStarted) Instance(*about_to_run).close();
  };
  Host host(options);
  Instance instance = host.load("wins").create();
  about_to_run = &instance;
  REQUIRE_ERROR(error, HostClosed, instance.run());
  CHECK_SAYS(error, "has been closed");
}

TEST_CASE("two modules that load each other in on_load do not deadlock") {
  const ModuleFolder folder;
  for (const char* name : {"first", "second_one"}) {
    folder.write(std::string(name) + ".py",
                 "from pyhost import services\n"
                 "def on_load(): services.meet(name=__name__[8:])\n"
                 "class Module:\n    def run(self): return __name__\n"
                 "def create(state): return Module()\n");
  }
  Host host(folder.options());
  std::atomic<int> inside = 0;
  host.services().provide("meet", [&](const Json& name) -> Json {
    ++inside;
    while (inside < 2) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return host.run(name["name"] == "first" ? "second_one" : "first");
  });
  std::thread one([&] { CHECK(host.run("first") == "modules.first"); });
  CHECK(host.run("second_one") == "modules.second_one");
  one.join();
}

TEST_CASE("an exception of a service in on_load is thrown by load") {
  Host host(over_fixtures());
  host.services().provide("gate", [](const Json&) -> Json { throw std::logic_error("closed today"); });
  CHECK_THROWS_WITH_AS(host.load("asks_in_on_load"), "closed today", std::logic_error);
}

TEST_CASE("a module that is being unloaded is not loaded again by its own on_unload") {
  const ModuleFolder folder;
  folder.write("asks_for_itself.py",
               "import sys\n"
               "from pyhost import services\n"
               "sys.told = getattr(sys, 'told', [])\n"
               "def on_load(): sys.told.append('load')\n"
               "def on_unload():\n"
               "    sys.told.append('unload')\n"
               "    try: services.again()\n"
               "    except Exception as refused: sys.told.append(type(refused).__name__)\n"
               "class Module:\n    def run(self): return 1\n"
               "def create(state): return Module()\n");
  std::vector<std::string> refused;
  Host host(folder.options());
  told(host);
  host.services().provide("again", [&](const Json&) -> Json {
    REQUIRE_ERROR(error, HostClosed, host.run("asks_for_itself"));
    refused.emplace_back(error.what());
    throw std::runtime_error("it is being unloaded");
  });
  host.load("asks_for_itself");
  CHECK(host.unload("asks_for_itself"));
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].starts_with("module 'asks_for_itself' cannot be loaded while it is being unloaded"));
  CHECK(told(host) == Lines{"load", "unload", "ServiceError"});
  CHECK(host.run("asks_for_itself") == 1);
  CHECK(told(host) == Lines{"load"});
}

TEST_CASE("a load during an unload on another thread imports the module again") {
  const ModuleFolder folder;
  folder.write("ends_slowly.py",
               "from pyhost import services\n"
               "import sys\n"
               "sys.told = getattr(sys, 'told', [])\n"
               "def on_load(): sys.told.append('load')\n"
               "def on_unload(): services.gate(); sys.told.append('unload')\n"
               "class Module:\n    def run(self): return 1\n"
               "def create(state): return Module()\n");
  Host host(folder.options());
  told(host);
  std::atomic<bool> inside = false, open = false;
  host.services().provide("gate", [&](const Json&) -> Json {
    inside = true;
    while (!open) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return nullptr;
  });
  host.load("ends_slowly");
  std::thread unloads([&] { CHECK(host.unload("ends_slowly")); });
  while (!inside) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::thread loads([&] { CHECK(host.run("ends_slowly") == 1); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  open = true;
  unloads.join();
  loads.join();
  CHECK(told(host) == Lines{"load", "unload", "load"});
}

TEST_CASE("an instance is closed when its module is unloaded, however it was created") {
  const ModuleFolder folder;
  folder.write("changes_its_create.py",
               "import sys\n"
               "sys.told = getattr(sys, 'told', [])\n"
               "class Module:\n"
               "    def run(self): return 1\n"
               "    def close(self): sys.told.append('close')\n"
               "def on_unload(): sys.told.append('unload')\n"
               "def create(state):\n"
               "    global create\n"
               "    create = lambda state: Module()\n"
               "    return Module()\n");
  Host host(folder.options());
  told(host);
  const Instance first = host.load("changes_its_create").create();
  const Module again = host.load("changes_its_create");
  CHECK(host.unload("changes_its_create"));
  CHECK(told(host) == Lines{"close", "unload"});
  REQUIRE_ERROR(closed, HostClosed, first.run());
  REQUIRE_ERROR(unloaded, HostClosed, again.create());
}

TEST_CASE("unloading a package unloads the modules within it, the last loaded first") {
  const ModuleFolder folder;
  const std::string source =
      "import sys\n"
      "sys.told = getattr(sys, 'told', [])\n"
      "def on_load(): sys.told.append('load ' + __name__)\n"
      "def on_unload(): sys.told.append('unload ' + __name__)\n"
      "def create(state): return None\n";
  folder.write("many/__init__.py", source);
  folder.write("many/one.py", source);
  Host host(folder.options());
  told(host);
  host.load("many");
  host.load("many.one");
  told(host);
  CHECK(host.unload("many"));
  CHECK(told(host) == Lines{"unload modules.many.one", "unload modules.many"});
  CHECK_FALSE(host.unload("many.one"));
  host.load("many.one");
  CHECK(told(host) == Lines{"load modules.many.one"});
}

TEST_CASE("a load after an unload reads the source again, even if its size and time are the same") {
  const ModuleFolder folder;
  const auto gives = [](char digit) {
    return std::string("class Module:\n    def run(self): return ") + digit +
           "\ndef create(state): return Module()\n";
  };
  folder.write("changes.py", gives('1'));
  const auto written = std::filesystem::last_write_time(folder.path() / "modules" / "changes.py");
  Host host(folder.options());
  CHECK(host.run("changes") == 1);
  folder.write("changes.py", gives('2'));
  std::filesystem::last_write_time(folder.path() / "modules" / "changes.py", written);
  CHECK(host.unload("changes"));
  CHECK(host.run("changes") == 2);
}

TEST_CASE("an async context manager is entered and exited") {
  const ModuleFolder folder;
  folder.write("is_an_async_one.py",
               "import sys\n"
               "sys.told = getattr(sys, 'told', [])\n"
               "class Module:\n"
               "    async def __aenter__(self): sys.told.append('enter'); return self\n"
               "    async def __aexit__(self, kind, raised, traceback):\n"
               "        sys.told.append('exit ' + repr(raised))\n"
               "    async def run(self): return 1 / self.by\n"
               "def create(state):\n"
               "    module = Module()\n"
               "    module.by = state['by']\n"
               "    return module\n");
  Host host(folder.options());
  told(host);
  CHECK(host.run("is_an_async_one", {{"by", 2}}) == 0.5);
  REQUIRE_ERROR(error, ModuleRaised, host.run("is_an_async_one", {{"by", 0}}));
  CHECK(told(host) == Lines{"enter", "exit None", "enter", "exit ZeroDivisionError('division by zero')"});
}

TEST_CASE("a task that does not end does not block the host's shutdown, and other loops are closed") {
  const ModuleFolder folder;
  folder.write("leaves_tasks.py",
               "import asyncio, sys\n"
               "sys.told = getattr(sys, 'told', [])\n"
               "async def stay(name, seconds):\n"
               "    try: await asyncio.sleep(1000)\n"
               "    finally:\n"
               "        await asyncio.sleep(seconds)\n"
               "        sys.told.append(name)\n"
               "class Module:\n"
               "    def __init__(self, state): self.state = state\n"
               "    async def run(self):\n"
               "        self.task = asyncio.ensure_future(stay(**self.state))\n"
               "        await asyncio.sleep(0)\n"
               "def create(state): return Module(state)\n");
  std::vector<std::string> errors;
  std::optional<Instance> quick, slow;  // the instances keep the tasks alive
  {
    Options options = folder.options();
    options.shutdown_timeout = std::chrono::seconds(2);
    options.callbacks.on_error = [&](const Error& error) { errors.emplace_back(error.what()); };
    Host host(options);
    told(host);
    quick = host.load("leaves_tasks").create({{"name", "quick"}, {"seconds", 0}});
    quick->run();
    slow = host.load("leaves_tasks").create({{"name", "slow"}, {"seconds", 1000}});
    std::thread([&] { slow->run(); }).join();
  }
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].starts_with("a task left in an event loop "));
  quick.reset();
  slow.reset();
  Host next(over_fixtures());
  CHECK(told(next) == Lines{"quick"});
  evaluated(next, "gc.collect()", "import gc");  // asyncio logs that the task was pending
}

TEST_CASE("observers do not cause a package to be imported twice") {
  const ModuleFolder folder;
  folder.write("breaks/__init__.py",
               "import sys\n"
               "sys.told = getattr(sys, 'told', []) + ['executed']\n"
               "raise ValueError('broken')\n");
  folder.write("breaks/inner.py", "def create(state): return None\n");
  Recorder recorder;
  Options options = folder.options();
  options.callbacks.on_event = recorder.function();
  Host host(options);
  told(host);
  recorder.said.clear();
  REQUIRE_ERROR(error, ImportFailed, host.load("breaks.inner"));
  CHECK(recorder.said == Lines{"Found breaks.inner", "Failed breaks.inner in import"});
  CHECK(told(host) == Lines{"executed"});
}
