#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <future>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

using namespace pyhost;
using test::ModuleFolder;

namespace {

constexpr const char* engine = "modules.engine_of_threads:make";

// Writes a module whose executor has two threads and starts this build's program as its coprocess.
void write_engine(const ModuleFolder& folder) {
  folder.write("engine_of_threads.py",
               "import concurrent.futures, os\n"
               "os.environ['PYHOST_PROGRAM'] = '" PYHOST_PROGRAM_FILE
               "'\n"
               "os.environ['XDG_CACHE_HOME'] = '" +
                   (folder.path() / "cache").string() +
                   "'\n"
                   "def make(): return concurrent.futures.ThreadPoolExecutor(2)\n");
  folder.write("halves.py",
               "class Module:\n"
               "    def __init__(self, state): self.state = state\n"
               "    def run(self):\n"
               "        if self.state['n'] % 2: raise ValueError('odd')\n"
               "        return self.state['n'] // 2\n"
               "def create(state): return Module(state)\n");
}

bool is_cancelled(std::future<Json>& run) {
  const std::optional<Error> error = test::error_of([&] { return run.get(); });
  return error && error->kind() == ErrorKind::Cancelled;
}

}  // namespace

TEST_CASE("map and submit return the same with and without an engine") {
  const ModuleFolder folder;
  write_engine(folder);
  std::mutex mutex;
  std::vector<std::string> lines;
  Host host({.module_paths = {folder.path()}});
  {
    Pool pool(host,
              {.isolation = Isolation::Process, .engine = engine, .on_engine = [&](std::string_view line) {
                 const std::lock_guard lock(mutex);
                 lines.emplace_back(line);
               }});
    CHECK(pool.workers() == 2);

    std::vector<Json> states;
    for (int n = 0; n < 100; ++n) states.push_back({{"n", n}});
    std::size_t index = 0;
    for (const Outcome& outcome : pool.map("halves", states)) {
      CHECK(outcome.index == index);
      REQUIRE(outcome.ok() == (index % 2 == 0));
      if (outcome.ok())
        CHECK(outcome.result() == index / 2);
      else
        CHECK_SAYS(*outcome.error, "ValueError: odd");
      ++index;
    }
    CHECK(index == 100);

    std::future<Json> good = pool.submit("halves", {{"n", 8}});
    std::future<Json> bad = pool.submit("halves", {{"n", 7}});
    CHECK(good.get() == 4);
    REQUIRE_ERROR(raised, ModuleRaised, bad.get());
    CHECK_SAYS(raised, "ValueError: odd");
    const std::lock_guard lock(mutex);
    CHECK(lines.at(0) == "the workers of the engine run 2 states at once");
  }
  CHECK((waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD));  // the coprocess has ended
}

TEST_CASE("a stop token cancels only its own runs, also if others are sent to the engine at the same time") {
  const ModuleFolder folder;
  write_engine(folder);
  folder.write("waits_for_a_file.py",
               "import pathlib, time\n"
               "class Module:\n"
               "    def __init__(self, state): self.state = state\n"
               "    def run(self):\n"
               "        while not pathlib.Path(self.state['file']).exists(): time.sleep(0.01)\n"
               "        return self.state['n']\n"
               "def create(state): return Module(state)\n");
  Host host({.module_paths = {folder.path()}});
  Pool pool(host, {.isolation = Isolation::Process, .engine = engine});
  for (const Outcome& outcome : pool.map("halves", std::vector<Json>(100, {{"n", 2}}))) REQUIRE(outcome.ok());
  // From here on a chunk has several states.
  const std::string file = (folder.path() / "go").string();
  std::stop_source stop;
  std::vector<std::future<Json>> runs;
  for (int n = 0; n < 40; ++n) {
    RunOptions options;
    if (n % 2 == 0) options.stop = stop.get_token();
    runs.push_back(pool.submit("waits_for_a_file", {{"n", n}, {"file", file}}, options));
  }
  stop.request_stop();
  CHECK(is_cancelled(runs[0]));  // the pool has seen the stop, so no run with this token can succeed now
  folder.write("../go", "");
  for (int n = 1; n < 40; ++n) {
    CAPTURE(n);
    std::future<Json>& run = runs[static_cast<std::size_t>(n)];
    if (n % 2 == 0)
      CHECK(is_cancelled(run));
    else
      CHECK(run.get() == n);
  }
}

TEST_CASE("an engine continues to run the same module after all of its runs were cancelled") {
  const ModuleFolder folder;
  write_engine(folder);
  folder.write("begins.py",
               "import pathlib, time\n"
               "class Module:\n"
               "    def __init__(self, state): self.state = state\n"
               "    def run(self):\n"
               "        pathlib.Path(self.state['file']).touch()\n"
               "        time.sleep(self.state['seconds'])\n"
               "        return 'done'\n"
               "def create(state): return Module(state)\n");
  Host host({.module_paths = {folder.path()}});
  Pool pool(host, {.isolation = Isolation::Process, .engine = engine});
  const std::filesystem::path begun = folder.path() / "begun";
  std::stop_source stop;
  RunOptions options;
  options.stop = stop.get_token();
  std::future<Json> cancelled = pool.submit("begins", {{"file", begun}, {"seconds", 60}}, options);
  while (!std::filesystem::exists(begun)) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  stop.request_stop();
  CHECK(is_cancelled(cancelled));
  CHECK(pool.submit("begins", {{"file", begun}, {"seconds", 0}}).get() == "done");
}

TEST_CASE("an unknown engine is refused when the pool is opened") {
  Host host(test::over_fixtures());
  REQUIRE_ERROR(error, InvalidEngine, Pool(host, {.engine = "spark://host:1"}).workers());
  CHECK_SAYS(error, "unknown engine 'spark://host:1'");
}
