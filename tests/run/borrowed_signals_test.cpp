#include <doctest/doctest.h>
#include <sys/time.h>

#include <csignal>
#include <string>
#include <thread>

#include "support.hpp"

using namespace pyhost;
using test::evaluated;
using test::ModuleFolder;
using test::over_fixtures;

namespace {

void applications_handler(int) {}
void another_handler(int) {}

using Handler = void (*)(int);

std::string handler_of(int signal) {
  struct sigaction action{};
  sigaction(signal, nullptr, &action);
  if (action.sa_handler == applications_handler) return "the application's";
  if (action.sa_handler == another_handler) return "another";
  return action.sa_handler == SIG_DFL ? "default" : "a module's";
}

void set_handler(int signal, Handler handler) {
  struct sigaction action{};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(signal, &action, nullptr);
}

// Installs the application's handler of SIGTERM for the duration of a test.
class Application {
 public:
  Application() { set_handler(SIGTERM, applications_handler); }
  ~Application() { set_handler(SIGTERM, SIG_DFL); }
  Application(const Application&) = delete;
  Application& operator=(const Application&) = delete;
};

constexpr const char* take = "import signal\nsignal.signal(signal.SIGTERM, lambda *_: None)\n";

}  // namespace

TEST_CASE("the application's signal handler is restored after a run that sets one") {
  const Application application;
  Host host(over_fixtures());
  for (int i = 0; i < 2; ++i) {
    CHECK(evaluated(host, "callable(signal.getsignal(signal.SIGTERM))", take) == true);
    CHECK(handler_of(SIGTERM) == "the application's");
    struct sigaction now{};
    sigaction(SIGTERM, nullptr, &now);
    CHECK((now.sa_flags & SA_RESTART) != 0);
  }
}

TEST_CASE(
    "the application's signal handler is restored after an event loop that sets one, and after an error") {
  const Application application;
  Host host(over_fixtures());
  evaluated(host, "asyncio.run(main())",
            "import asyncio, signal\n"
            "async def main(): asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print)\n");
  CHECK(handler_of(SIGTERM) == "the application\'s");
  REQUIRE_ERROR(error, ModuleRaised, evaluated(host, "1 / 0", take));
  CHECK(handler_of(SIGTERM) == "the application\'s");
}

TEST_CASE("the default action of a signal is restored after a run that sets a handler") {
  Host host(over_fixtures());
  evaluated(host, "None", "import signal\nsignal.signal(signal.SIGUSR1, lambda *_: None)");
  CHECK(handler_of(SIGUSR1) == "default");
  CHECK(evaluated(host, "signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL", "import signal") == true);
}

TEST_CASE("a module can restore the application's handler with the value that signal.signal returned") {
  const Application application;
  Host host(over_fixtures());
  host.services().provide("is_applications",
                          [](const Json&) -> Json { return handler_of(SIGTERM) == "the application\'s"; });
  CHECK(evaluated(host, "[taken, given_back]",
                  "import signal\n"
                  "from pyhost import services\n"
                  "before = signal.signal(signal.SIGTERM, lambda *_: None)\n"
                  "taken = services.is_applications()\n"
                  "signal.signal(signal.SIGTERM, before)\n"
                  "given_back = services.is_applications()\n") == Json{false, true});
}

TEST_CASE("a handler that the application sets during a run stays") {
  const Application application;
  Host host(over_fixtures());
  host.services().provide("set_another", [](const Json&) -> Json {
    set_handler(SIGTERM, another_handler);
    return nullptr;
  });
  evaluated(host, "services.set_another()", std::string("from pyhost import services\n") + take);
  CHECK(handler_of(SIGTERM) == "another");
}

TEST_CASE("a timer is cancelled when the handler of its signal is removed") {
  Host host(over_fixtures());
  evaluated(host, "None",
            "import signal\n"
            "signal.signal(signal.SIGALRM, lambda *_: None)\n"
            "signal.setitimer(signal.ITIMER_REAL, 1000)\n");
  itimerval timer{};
  getitimer(ITIMER_REAL, &timer);
  CHECK(timer.it_value.tv_sec == 0);
  CHECK(timer.it_value.tv_usec == 0);
  CHECK(handler_of(SIGALRM) == "default");
}

TEST_CASE("a handler that create sets is removed at the end of the run, or with the host") {
  const Application application;
  ModuleFolder folder;
  folder.write("takes.py",
               "import signal\n"
               "class Takes:\n"
               "    def run(self): return signal.getsignal(signal.SIGTERM).__name__\n"
               "def create(state):\n"
               "    def of_module(*_): pass\n"
               "    signal.signal(signal.SIGTERM, of_module)\n"
               "    return Takes()\n");
  {
    Host host(folder.options());
    const Instance instance = host.load("takes").create();
    CHECK(handler_of(SIGTERM) == "a module\'s");
    CHECK(instance.run() == "of_module");
    CHECK(handler_of(SIGTERM) == "the application\'s");
    const Instance another = host.load("takes").create();
  }
  CHECK(handler_of(SIGTERM) == "the application\'s");
}

TEST_CASE("a stream keeps its signal handlers until its end") {
  const Application application;
  ModuleFolder folder;
  folder.write("streams.py",
               "import signal\n"
               "class Streams:\n"
               "    def run(self):\n"
               "        signal.signal(signal.SIGTERM, lambda *_: None)\n"
               "        yield 1\n"
               "        yield 2\n"
               "def create(state): return Streams()\n");
  Host host(folder.options());
  {
    Stream stream = host.stream("streams");
    CHECK(stream.next() == Json(1));
    CHECK(handler_of(SIGTERM) == "a module\'s");
    CHECK(stream.next() == Json(2));
    CHECK(handler_of(SIGTERM) == "a module\'s");
    CHECK_FALSE(stream.next());
    CHECK(handler_of(SIGTERM) == "the application\'s");
  }
  {
    Stream stream = host.stream("streams");
    CHECK(stream.next() == Json(1));
    CHECK(handler_of(SIGTERM) == "a module\'s");
  }
  CHECK(handler_of(SIGTERM) == "the application\'s");
}

TEST_CASE("a run on another thread does not remove a handler that a run on the main thread uses") {
  const Application application;
  Host host(over_fixtures());
  host.services().provide("run_on_thread", [&](const Json&) -> Json {
    std::thread([&] { evaluated(host, "1"); }).join();
    return handler_of(SIGTERM) == "the application\'s";
  });
  CHECK(evaluated(host, "services.run_on_thread()", std::string("from pyhost import services\n") + take) ==
        false);
  CHECK(handler_of(SIGTERM) == "the application\'s");
}
