#include <doctest/doctest.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <set>
#include <thread>

#include "error/error_json.hpp"
#include "pool/process/oom_kills.hpp"
#include "pool/process/wire_frames.hpp"
#include "support.hpp"

using namespace pyhost;
using namespace std::chrono_literals;
using test::eventually;
using test::over_fixtures;
using test::patience;
namespace fs = std::filesystem;

namespace {

PoolOptions processes(std::size_t workers = 1) {
  return {.workers = workers, .isolation = Isolation::Process};
}

Json ruins(const std::string& how) { return {{"how", how}}; }

Json pid(Pool& pool) { return pool.submit("ruins_its_process", ruins("pid")).get(); }

std::ptrdiff_t descriptors() {
  return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
}

bool has_children() { return waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD; }

// The frames that a reader returns for these bytes if they arrive in pieces of this size.
std::vector<detail::WireFrame> frames_of(std::string_view bytes, std::size_t piece) {
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  detail::FrameReader reader;
  std::vector<detail::WireFrame> frames;
  const auto close_both = [&] {
    close(ends[0]);
    close(ends[1]);
  };
  try {
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
      const std::string_view now = bytes.substr(0, piece);
      REQUIRE(write(ends[0], now.data(), now.size()) == static_cast<ssize_t>(now.size()));
      std::size_t left = now.size();
      while (left > 0) {
        REQUIRE(reader.read(ends[1]) == detail::FrameReader::Got::Bytes);
        while (auto frame = reader.next()) frames.push_back(*std::move(frame));
        int waiting = 0;
        ioctl(ends[1], FIONREAD, &waiting);
        left = static_cast<std::size_t>(waiting);
      }
    }
  } catch (...) {
    close_both();
    throw;
  }
  close_both();
  return frames;
}

}  // namespace

TEST_CASE("frames are reassembled from pieces of any size") {
  using namespace detail;
  const std::string large(200'000, 'x');
  const std::string bytes = frame_text(FrameKind::Outcome, 7, std::string_view("small")) +
                            frame_text(FrameKind::Outcome, 8, std::string_view(large)) +
                            frame_text(FrameKind::Done, 9, std::string_view());
  for (const std::size_t piece : {std::size_t{1000}, std::size_t{65'530}, std::size_t{100'000}}) {
    const auto frames = frames_of(bytes, piece);
    REQUIRE(frames.size() == 3);
    CHECK(frames[0].content == "small");
    CHECK(frames[1].content == large);
    CHECK(frames[1].number == 8);
    CHECK(frames[2].kind == FrameKind::Done);
  }
}

TEST_CASE("bytes that are not a frame are refused") {
  using namespace detail;
  CHECK_THROWS_AS(frames_of(std::string(100, 'x'), 100), BrokenFrame);
  std::string no_end = frame_text(FrameKind::Done, 1, std::string_view());
  no_end.back() = 'x';
  CHECK_THROWS_AS(frames_of(no_end, 100), BrokenFrame);
  FrameHead head = head_of(FrameKind::Outcome, 1, std::size_t{1} << 60);
  CHECK_THROWS_AS(frames_of({reinterpret_cast<const char*>(&head), sizeof head}, 100), BrokenFrame);
  head = head_of(static_cast<FrameKind>(99), 1, 0);
  CHECK_THROWS_AS(frames_of({reinterpret_cast<const char*>(&head), sizeof head}, 100), BrokenFrame);
}

TEST_CASE("an error is the same after serialization") {
  Host host(over_fixtures());
  for (const char* name : {"raises_a_group", "raises_with_a_cause", "raises_with_notes", "recurses_in_threes",
                           "has_no_create", "gives_a_set", "has_an_unclosed_bracket", "no_such_module"}) {
    CAPTURE(name);
    const auto error = test::error_of([&] { return host.run(name); });
    REQUIRE(error);
    const Error back = detail::error_from_json(error->to_json());
    CHECK(back.to_json() == error->to_json());
    CHECK(back.rendered() == error->rendered());
    CHECK(std::string(back.what()) == error->what());
  }
  CHECK_THROWS_AS(detail::error_from_json(Json::object()), Json::exception);
}

TEST_CASE("a crash fails one run, and the next one succeeds") {
  Host host(over_fixtures());
  Pool pool(host, processes());
  for (const auto& [how, says] : std::vector<std::pair<std::string, std::string>>{
           {"segfault", "crashed its worker process: it was ended by signal 11 (SIGSEGV)"},
           {"abort", "signal 6 (SIGABRT)"},
           {"exit", "ended its worker process with status 3"},
           {"exit in a thread", "status 4"},
           {"kill", "signal 9 (SIGKILL)"},
           {"close and stay", "it closed its channel"},
           {"garbage", "it wrote garbage to its channel"}}) {
    CAPTURE(how);
    REQUIRE_ERROR(error, WorkerCrashed, pool.submit("ruins_its_process", ruins(how)).get());
    CHECK(error.module() == "ruins_its_process");
    CHECK_SAYS(error, "module 'ruins_its_process'");
    CHECK_SAYS(error, says);
    CHECK(pool.submit("wins").get() == "second");
  }
  for (const char* how : {"close", "scribble"}) {  // these take effect after the run has ended
    CAPTURE(how);
    CHECK(pool.submit("ruins_its_process", ruins(how)).get() == nullptr);
    CHECK(pool.submit("wins").get() == "second");
  }
}

TEST_CASE("the error of a crash has the module's place") {
  Host host(over_fixtures());
  Pool pool(host, processes());
  REQUIRE_ERROR(error, WorkerCrashed, pool.submit("ruins_its_process", ruins("segfault")).get());
  CHECK(error.exception().type == "Fatal Python error");
  CHECK(error.exception().message == "Segmentation fault");
  CHECK(error.place().file == (test::fixtures / "modules/ruins_its_process.py").string());
  CHECK(error.place().source.find("ctypes.string_at(0)") != std::string::npos);
}

TEST_CASE("a run that cannot be cancelled is killed at its deadline") {
  std::size_t written = 0;
  Options options = over_fixtures();
  options.callbacks.on_output = [&](const Output& output) { written += output.text.size(); };
  Host host(options);
  Pool pool(host, processes());
  for (const char* how : {"loop", "stay", "flood"}) {
    CAPTURE(how);
    pool.submit("ruins_its_process", ruins("pid")).get();  // imports the module before a deadline applies
    REQUIRE_ERROR(error, TimedOut, pool.submit("ruins_its_process", ruins(how), {.timeout = 1s}).get());
    CHECK_SAYS(error, "was killed at its deadline of 1 s");
    CHECK(error.place().file.ends_with("ruins_its_process.py"));
    CHECK(pool.submit("wins").get() == "second");
  }
  CHECK(written > 0);
}

TEST_CASE("a started run is never started again, and pending runs behind it run once") {
  Host host(over_fixtures());
  const fs::path file = fs::temp_directory_path() / ("pyhost-runs-" + std::to_string(getpid()));
  fs::remove(file);
  std::size_t failed = 0;
  {
    Pool pool(host, processes(2));
    std::vector<std::future<Json>> runs;
    for (int i = 0; i < 2000; ++i) {
      const Json state{
          {"how", "append"}, {"file", file.string()}, {"i", i}, {"dies_at", i % 500 == 250 ? i : -1}};
      runs.push_back(pool.submit("ruins_its_process", state));
    }
    for (int i = 0; i < 2000; ++i) {
      Json result;
      const auto error = test::error_of([&] { return result = runs[static_cast<std::size_t>(i)].get(); });
      CHECK((error ? i % 500 == 250 : result == i));
      failed += error.has_value();
    }
  }
  CHECK(failed == 4);
  std::ifstream stream(file);
  std::multiset<int> made{std::istream_iterator<int>(stream), {}};
  CHECK(made.size() == 2000);
  CHECK(std::set<int>(made.begin(), made.end()).size() == 2000);
  fs::remove(file);
}

TEST_CASE("a scheduled run behind a crash is still scheduled in the next worker") {
  Host host(over_fixtures());
  Pool pool(host, processes());
  const auto scheduled = std::make_shared<const Scheduled>(Scheduled{"nightly", {}, 3});
  const Json sees{{"first", "import pyhost; for_what = pyhost.current_run().scheduled"},
                  {"give", "[for_what.entry, for_what.attempt]"}};
  for (int i = 0; i < 50; ++i) pool.submit("wins");  // later runs are sent in batches
  auto crash = pool.submit("ruins_its_process", ruins("abort"), {.scheduled = scheduled});
  auto next = pool.submit("evaluates", sees, {.scheduled = scheduled});
  REQUIRE_ERROR(error, WorkerCrashed, crash.get());
  CHECK(next.get() == Json{"nightly", 3});
}

TEST_CASE("no run waits behind a slow one while another worker is idle") {
  Host host(over_fixtures());
  Pool pool(host, processes(2));
  std::vector<std::future<Json>> quick;
  for (int i = 0; i < 500; ++i) quick.push_back(pool.submit("returns_state", {{"i", i}}));
  const auto slow = pool.submit("ruins_its_process", ruins("stay"));
  for (int i = 0; i < 500; ++i) quick.push_back(pool.submit("returns_state", {{"i", i}}));
  for (auto& each : quick) CHECK(each.wait_for(patience) == std::future_status::ready);
  CHECK(slow.wait_for(0s) == std::future_status::timeout);
  pool.cancel();
}

TEST_CASE("a run behind a slow one moves to another worker even if the runs around it were cancelled") {
  Host host(over_fixtures());
  Pool pool(host, processes(2));
  std::vector<std::future<Json>> quick;
  for (int i = 0; i < 2000; ++i) quick.push_back(pool.submit("returns_state", {{"i", i}}));
  for (auto& each : quick) each.get();  // from now on a batch has many runs
  std::stop_source stop;
  const auto slow = pool.submit("ruins_its_process", ruins("stay"));
  std::vector<std::future<Json>> unwanted;
  for (int i = 0; i < 50; ++i) unwanted.push_back(pool.submit("wins", {}, {.stop = stop.get_token()}));
  auto wanted = pool.submit("wins");
  std::this_thread::sleep_for(2ms);
  stop.request_stop();
  CHECK(wanted.wait_for(patience) == std::future_status::ready);
  CHECK(slow.wait_for(0s) == std::future_status::timeout);
  pool.cancel();
}

TEST_CASE("a large state among small ones runs in its turn") {
  Options options = over_fixtures();
  std::atomic<int> events = 0;
  options.callbacks.on_event = [&](const Event&) { ++events; };
  Host host(std::move(options));
  Pool pool(host, processes());
  std::vector<std::string> states;
  for (int i = 0; i < 3000; ++i) {
    states.push_back(R"({"i":")" + std::string(i % 10 == 9 ? 60'000 : 1, 'x') + R"("})");
  }
  std::size_t at = 0;
  for (const Outcome& outcome : pool.map("returns_state", states)) {
    REQUIRE(outcome.ok());
    REQUIRE(outcome.text->size() == states[at++].size());
  }
  CHECK(at == states.size());
  CHECK(events > 0);
}

TEST_CASE("a large state behind a slow run moves to another worker") {
  Host host(over_fixtures());
  Pool pool(host, processes(2));
  const std::string large = R"({"i":")" + std::string(60'000, 'x') + R"("})";
  for (int round = 0; round < 5; ++round) {
    std::vector<std::future<Json>> quick;
    for (int i = 0; i < 2000; ++i) quick.push_back(pool.submit("returns_state", {{"i", i}}));
    for (auto& each : quick) each.get();  // from now on a batch has many runs
    quick.clear();
    std::stop_source stop;
    const auto slow = pool.submit("ruins_its_process", ruins("stay"), {.stop = stop.get_token()});
    quick.push_back(pool.submit("returns_state", large));
    for (int i = 0; i < 20; ++i) quick.push_back(pool.submit("returns_state", {{"i", i}}));
    for (auto& each : quick) CHECK(each.wait_for(patience) == std::future_status::ready);
    CHECK(slow.wait_for(0s) == std::future_status::timeout);
    stop.request_stop();
  }
  pool.cancel();
}

TEST_CASE("a worker process starts before it gets a run") {
  Options options = over_fixtures();
  std::atomic<bool> started = false;
  options.callbacks.on_span = [&](const Span& span) {
    if (span.kind == SpanKind::Start) started = true;
  };
  Host host(std::move(options));
  const Pool pool(host, processes());
  CHECK(eventually([&] { return started.load(); }));
}

TEST_CASE("a pool starts one worker process in advance, and at most one more for each run") {
  Options options = over_fixtures();
  std::atomic<int> started = 0;
  options.callbacks.on_span = [&](const Span& span) { started += span.kind == SpanKind::Start; };
  Host host(std::move(options));
  Pool pool(host, processes(32));
  std::vector<std::future<Json>> runs;
  for (int i = 0; i < 3; ++i) runs.push_back(pool.submit("wins"));
  for (auto& each : runs) CHECK(each.get() == "second");
  pool.close(patience);
  CHECK(started.load() <= 4);
}

TEST_CASE("a thread that a run left behind can call services while nothing runs") {
  Host host(over_fixtures());
  std::atomic<int> noted = 0;
  host.services().provide("ask", [](const Json&) { return 7; });
  host.services().provide("note",
                          [&](const Json& arguments) { return noted = arguments.at("i").get<int>(); });
  Pool pool(host, processes());
  const Json leaves{{"first",
                     "import threading, time\n"
                     "from pyhost import services\n"
                     "def later():\n"
                     "    time.sleep(0.2)\n"
                     "    services.note(i=services.ask())\n"
                     "threading.Thread(target=later, daemon=True).start()"},
                    {"give", "1"}};
  CHECK(pool.submit("evaluates", leaves).get() == 1);
  CHECK(eventually([&] { return noted == 7; }));
}

TEST_CASE("runs with large states can be cancelled while the states are sent") {
  Host host(over_fixtures());
  Pool pool(host, processes());
  const std::string state = R"({"i":")" + std::string(20'000'000, 'x') + R"("})";
  for (int i = 0; i < 4; ++i) {
    std::stop_source stop;
    auto run = pool.submit("returns_state", state, {.stop = stop.get_token()});
    std::this_thread::sleep_for(20ms);
    stop.request_stop();
    const auto error = test::error_of([&] { return run.get(); });
    if (error) CHECK(to_string(error->kind()) == to_string(ErrorKind::Cancelled));
  }
  CHECK(pool.submit("wins").get() == "second");
}

TEST_CASE("an allocation beyond the memory limit raises MemoryError") {
  Host host(over_fixtures());
  PoolOptions options = processes();
  options.memory_limit = std::size_t{256} << 20;
  Pool pool(host, options);
  const auto allocate = [&](std::size_t bytes) {
    return pool.submit("ruins_its_process", {{"how", "allocate"}, {"bytes", bytes}}).get();
  };
  CHECK(allocate(100'000'000) == 100'000'000);
  REQUIRE_ERROR(error, ModuleRaised, allocate(400'000'000));
  CHECK(error.exception().type == "MemoryError");
}

TEST_CASE("a worker is replaced after max_runs_per_worker runs or beyond max_resident") {
  Host host(over_fixtures());
  PoolOptions few = processes();
  few.max_runs_per_worker = 2;
  Pool pool(host, few);
  std::vector<Json> pids;
  for (int i = 0; i < 4; ++i) pids.push_back(pid(pool));
  CHECK(pids[0] == pids[1]);
  CHECK(pids[1] != pids[2]);
  CHECK(pids[2] == pids[3]);
  PoolOptions small = processes();
  small.max_resident = std::size_t{100} << 20;
  Pool other(host, small);
  const Json before = pid(other);
  CHECK(pid(other) == before);
  CHECK(other.submit("ruins_its_process", {{"how", "keep"}, {"bytes", 200 << 20}}).get() == nullptr);
  CHECK(pid(other) != before);
}

TEST_CASE("a process that a module forks does not send a result for the run") {
  Host host(over_fixtures());
  Pool pool(host, processes());
  for (int i = 0; i < 5; ++i) {
    CHECK(pool.submit("ruins_its_process", ruins("fork")).get() == "the parent");
    CHECK(pool.submit("wins").get() == "second");
  }
}

TEST_CASE(
    "the seconds of one worker's runs add up to no more than the elapsed time, with large results too") {
  Host host(over_fixtures());
  Pool pool(host, processes());
  const std::vector<std::string> states(300, R"({"give":"'x' * 100_000"})");
  std::chrono::duration<double> sum{0};
  const auto begun = std::chrono::steady_clock::now();
  for (const Outcome& outcome : pool.map("evaluates", states))
    sum += std::chrono::duration<double>(outcome.seconds);
  CHECK(sum <= std::chrono::steady_clock::now() - begun);
}

TEST_CASE("large states and results are transferred") {
  Host host(over_fixtures());
  Pool pool(host, processes(2));
  const std::string large = R"({"a":")" + std::string(20'000'000, 'x') + R"("})";
  auto first = pool.submit<std::string>("returns_state", large);
  auto small = pool.submit<std::string>("returns_state", R"({"b":1})");
  auto second = pool.submit<std::string>("returns_state", large);
  CHECK(first.get() == large);
  CHECK(small.get() == R"({"b":1})");
  CHECK(second.get() == large);
}

TEST_CASE("services can be called from several threads of a run at once") {
  Host host(over_fixtures());
  std::atomic<int> inside = 0;
  host.services().provide("meet", [&](const Json& arguments) -> Json {
    ++inside;
    while (inside < 2) std::this_thread::sleep_for(1ms);  // until both threads are in the service
    return arguments.at("i");
  });
  Pool pool(host, processes());
  const Json result =
      pool.submit("evaluates", {{"first",
                                 "from concurrent.futures import ThreadPoolExecutor\n"
                                 "from pyhost import services\n"
                                 "with ThreadPoolExecutor(2) as pool:\n"
                                 "    got = list(pool.map(lambda i: services.meet(i=i), [1, 2]))"},
                                {"give", "got"}})
          .get();
  CHECK(result == Json{1, 2});
}

TEST_CASE("a worker that cannot start its runs is replaced, and the runs succeed") {
  Host host(over_fixtures());
  Pool a(host, processes());
  Pool b(host, processes());
  const fs::path tell = fs::temp_directory_path() / ("pyhost-gil-" + std::to_string(getpid()));
  for (Pool* pool : {&a, &b}) {
    std::ofstream(tell) << '0';
    pool->submit("ruins_its_process", {{"how", "take the GIL later"}, {"tell", tell.string()}}).get();
    std::fstream(tell) << '1';  // now the leftover thread of the run takes the GIL and keeps it
    CHECK(eventually([&] { return std::ifstream(tell).get() == '2'; }));
    fs::remove(tell);
  }
  // A worker is replaced after ten seconds. Both pools wait at the same time.
  auto without_timeout = a.submit("wins");
  auto with_timeout =
      b.submit("wins", Json::object(), {.timeout = 9s});  // it counts from the start of the run
  CHECK(without_timeout.get() == "second");
  CHECK(with_timeout.get() == "second");
}

TEST_CASE("no run is lost with workers that are killed while idle") {
  Host host(over_fixtures());
  Pool pool(host, processes());
  for (int i = 0; i < 5; ++i) {
    const auto worker = pid(pool).get<pid_t>();
    kill(worker, SIGKILL);
    while (fs::exists("/proc/" + std::to_string(worker) + "/exe")) std::this_thread::sleep_for(1ms);
    CHECK(pool.submit("wins").get() == "second");
  }
}

#ifndef PYHOST_SANITIZED  // the sanitizer's operator new aborts if there is no memory

TEST_CASE("a state that does not fit into a worker's memory is refused, and the next one runs") {
  Host host(over_fixtures());
  PoolOptions options = processes();
  options.memory_limit = std::size_t{80} << 20;
  Pool pool(host, options);
  const Json small{{"give", "len(state['give'])"}};
  // The worker has no memory to read the first state. It can read the second one but not convert it to a str.
  for (const auto& [size, why] :
       {std::pair(std::size_t{100} << 20, "its worker process has too little memory left"),
        std::pair(std::size_t{60} << 20, "MemoryError")}) {
    const Json large{{"give", "1"}, {"a", std::string(size, 'x')}};
    const auto error = test::error_of([&] { return pool.submit("evaluates", large).get(); });
    REQUIRE(error);
    CHECK(error->kind() == ErrorKind::InvalidState);
    CHECK_SAYS(*error, why);
    CHECK(pool.submit("evaluates", small).get() == 18);
  }
}

TEST_CASE("a run at its memory limit can be cancelled") {
  Host host(over_fixtures());
  PoolOptions options = processes();
  options.memory_limit = std::size_t{6} << 20;
  Pool pool(host, options);
  CHECK(pool.submit("wins").get() == "second");
  std::stop_source stop;
  auto run = pool.submit("does_not_end", {{"how", "loop"}}, {.stop = stop.get_token()});
  CHECK(run.wait_for(500ms) == std::future_status::timeout);
  stop.request_stop();
  REQUIRE_ERROR(error, Cancelled, run.get());
}

#endif

TEST_CASE("on_unload in a worker can call the host's services") {
  std::atomic<int> called = 0;
  Host host(over_fixtures());
  host.services().provide("quote", [&](const Json&) { return ++called; });
  {
    PoolOptions options = processes();
    options.max_runs_per_worker = 1;
    Pool pool(host, options);
    CHECK(pool.submit("asks_when_unloaded").get() == nullptr);
    CHECK(pool.submit("asks_when_unloaded").get() == nullptr);
  }
  CHECK(called == 2);
}

TEST_CASE("a trace function that raises is removed, and the worker continues") {
  Host host(over_fixtures());
  Pool pool(host, processes());
  const Json before = pid(pool);
  pool.submit("ruins_its_process", ruins("trace")).get();
  CHECK(pool.submit("wins").get() == "second");
  CHECK(pid(pool) == before);
}

TEST_CASE("children of a worker are killed with it even if SIGCHLD is ignored") {
  struct sigaction ignore{}, before{};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGCHLD, &ignore, &before);
  std::string left;
  {
    Host host(over_fixtures());
    Pool pool(host, processes());
    left = "/proc/" + pool.submit("ruins_its_process", ruins("spawn")).get().dump();
    CHECK(fs::exists(left));
    REQUIRE_ERROR(error, WorkerCrashed, pool.submit("ruins_its_process", ruins("kill")).get());
    CHECK(std::string(error.what()).find("os._exit") == std::string::npos);
    CHECK(pool.submit("wins").get() == "second");
  }
  sigaction(SIGCHLD, &before, nullptr);
  CHECK(eventually([&] { return !fs::exists(left); }));
}

TEST_CASE("a worker program of another version is refused with a reason") {
  Host host(over_fixtures());
  PoolOptions options = processes();
  options.worker = test::fixtures / "another_worker.sh";
  Pool pool(host, options);
  REQUIRE_ERROR(error, StartupFailed, pool.submit("wins").get());
  CHECK_SAYS(error, "it ended with status 1");
}

TEST_CASE("a missing worker program is refused with the searched path") {
  Host host(over_fixtures());
  PoolOptions options = processes();
  options.worker = "/no/such/worker";
  REQUIRE_ERROR(error, StartupFailed, Pool(host, options).workers());
  CHECK_SAYS(error, "'/no/such/worker'");
  options.worker = "/bin/false";
  Pool pool(host, options);
  REQUIRE_ERROR(other, StartupFailed, pool.submit("wins").get());
  CHECK_SAYS(other, "a worker process did not start: it ended with status 1");
}

TEST_CASE("a program can be its own worker") {
  Host host(over_fixtures());
  PoolOptions options = processes();
  options.worker = "/proc/self/exe";
  Pool pool(host, options);
  CHECK(pool.submit("wins").get() == "second");
}

TEST_CASE("a worker that dies while idle is reaped at once, and replaced for the next run") {
  Host host(over_fixtures());
  Pool pool(host, processes());
  const auto process = [&] {
    return pool.submit("evaluates", Json{{"give", "__import__('os').getpid()"}}).get().get<pid_t>();
  };
  const pid_t first = process();
  REQUIRE(kill(first, SIGKILL) == 0);
  while (kill(first, 0) == 0)
    std::this_thread::sleep_for(10ms);  // kill() also succeeds for a zombie that has not been reaped
  CHECK(process() != first);
}

TEST_CASE("a run for which no worker process can be started fails, and the next one succeeds") {
  Host host(over_fixtures());
  Pool pool(host, processes());
  REQUIRE_ERROR(crashed, WorkerCrashed, pool.submit("ruins_its_process", ruins("exit")).get());
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{3, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  const auto refused = test::error_of([&] { return pool.submit("wins").get(); });
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(refused.has_value());
  CHECK(refused->kind() == ErrorKind::StartupFailed);
  CHECK(refused->message().find("RLIMIT_NOFILE (ulimit -n) is 3") != std::string::npos);
  CHECK(pool.submit("wins").get() == "second");
}

TEST_CASE("the kills of the out-of-memory killer are counted in the control group of the process") {
  const test::ModuleFolder folder;
  const fs::path root = folder.path();
  const auto write = [&root](const fs::path& file, const std::string& text) {
    fs::create_directories((root / file).parent_path());
    std::ofstream(root / file) << text;
  };
  write("pod/memory.events", "low 0\nhigh 7\nmax 12\noom 4\noom_kill 3\noom_group_kill 0\n");
  write("memory/job/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
  CHECK(detail::oom_kills(root, "0::/pod\n") == 3);
  CHECK(detail::oom_kills(root, "4:memory:/job\n0::/\n") == 2);
  CHECK(detail::oom_kills(root, "4:memory:/other\n0::/\n") == 0);
}

TEST_CASE("on_error is called for a crashed worker and for one killed at its deadline") {
  std::vector<ErrorKind> told;
  Options options = over_fixtures();
  options.callbacks.on_error = [&](const Error& error) { told.push_back(error.kind()); };
  Host host(options);
  Pool pool(host, processes());
  REQUIRE_ERROR(crashed, WorkerCrashed, pool.submit("ruins_its_process", ruins("exit")).get());
  REQUIRE_ERROR(late, TimedOut, pool.submit("ruins_its_process", ruins("stay"), {.timeout = 10ms}).get());
  CHECK(told == std::vector<ErrorKind>{ErrorKind::WorkerCrashed, ErrorKind::TimedOut});
}

TEST_CASE("crashed and killed workers leave no process and no descriptor") {
  Host host(over_fixtures());
  const auto before = descriptors();
  {
    Pool pool(host, processes(2));
    std::vector<std::future<Json>> runs;
    for (int i = 0; i < 40; ++i) {
      runs.push_back(pool.submit("ruins_its_process", ruins("exit")));
      runs.push_back(pool.submit("ruins_its_process", ruins("stay"), {.timeout = 1ms}));
    }
    for (auto& run : runs) CHECK(test::error_of([&] { return run.get(); }).has_value());
    CHECK(pool.submit("wins").get() == "second");
  }
  CHECK(descriptors() == before);
  CHECK_FALSE(has_children());
}
