#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <mutex>
#include <thread>

#include "support.hpp"

using namespace pyhost;
using test::fixtures;
using test::over_fixtures;

namespace {

// Records the calls of on_output as "module/stream: text".
struct Recorder {
  std::mutex mutex;
  std::vector<std::string> said;

  std::function<void(const Output&)> function() {
    return [this](const Output& output) {
      const std::lock_guard lock(mutex);
      const bool out = output.stream == Output::Stream::Stdout;
      said.push_back(std::string(output.module) + (out ? "/out: " : "/err: ") + std::string(output.text));
    };
  }
};

Json evaluate(Host& host, const std::string& first, const std::string& give) {
  return host.run("evaluates", {{"first", first}, {"give", give}});
}

}  // namespace

TEST_CASE("on_output receives what Python code writes, with its module and stream") {
  Recorder recorder;
  {
    Host host({.module_paths = {fixtures}, .callbacks = {.on_output = recorder.function()}});
    host.run("prints");
    evaluate(host, "print('two'); print('lines\\nmore', end='')", "1");
    evaluate(host,
             "import threading; t = threading.Thread(target=print, args=('bare',)); t.start(); t.join()",
             "1");
  }
  CHECK(recorder.said == std::vector<std::string>{"prints/out: from print\n", "prints/err: from stderr\n",
                                                  "prints/out: no newline", "evaluates/out: two\n",
                                                  "evaluates/out: lines\n", "evaluates/out: more",
                                                  "/out: bare\n"});
}

TEST_CASE("with on_output, sys.stdout and sys.stderr have the descriptors of the process") {
  Recorder recorder;
  Host host({.module_paths = {fixtures}, .callbacks = {.on_output = recorder.function()}});
  const char* first =
      "import faulthandler, subprocess, sys\n"
      "faulthandler.enable(); faulthandler.disable()\n"
      "child = subprocess.run(['true'], stdout=sys.stdout, stderr=sys.stderr)";
  CHECK(evaluate(host, first, "[sys.stdout.fileno(), sys.stderr.fileno(), child.returncode]") ==
        Json{1, 2, 0});
  CHECK(evaluate(host, "import sys", "[sys.stdout.isatty(), sys.stderr.isatty()]") == Json{false, false});
}

TEST_CASE("on_output can call its host, and its exception becomes the module's error") {
  std::vector<std::string> said;
  Host* open = nullptr;
  Host host({.module_paths = {fixtures}, .callbacks = {.on_output = [&](const Output& output) {
                                           if (output.text == "throw\n")
                                             throw std::runtime_error("the sink is full");
                                           said.push_back(std::string(output.text));
                                           if (output.text == "again\n")
                                             open->run("evaluates", {{"give", "print('inner')"}});
                                         }}});
  open = &host;
  evaluate(host, "print('again')", "1");
  CHECK(said == std::vector<std::string>{"again\n", "inner\n"});
  REQUIRE_ERROR(error, ModuleRaised, evaluate(host, "print('throw')", "1"));
  CHECK_SAYS(error, "OSError: on_output threw: the sink is full");
}

TEST_CASE("a process that the application forks gets an error instead of a crash") {
  Host host(over_fixtures());
  CHECK(host.run("wins") == "second");
  const pid_t child = fork();
  if (child == 0) {
    const auto error = test::error_of([&] { return host.run("wins"); });
    _exit(error && error->kind() == ErrorKind::HostClosed &&
                  std::string(error->what()).find("forked") != std::string::npos
              ? 7
              : 8);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WEXITSTATUS(status) == 7);
  CHECK(host.run("wins") == "second");
}

TEST_CASE("a process that a module forks can run Python code") {
  Host host(over_fixtures());
  const std::string first =
      "import os, multiprocessing\n"
      "pool = multiprocessing.get_context('fork').Pool(1)\n"
      "squares = pool.map(abs, [-2, 3])\n"
      "pool.close()\n"  // not terminate(): the test runner would report it as a crash
      "pool.join()\n";
  CHECK(evaluate(host, first, "squares") == Json{2, 3});
}

TEST_CASE("the application's signal handlers stay installed, also for SIGINT") {
  static volatile std::sig_atomic_t seen = 0;
  std::signal(SIGINT, [](int) { seen = seen + 1; });
  {
    Host host(over_fixtures());
    evaluate(host, "import signal, asyncio; asyncio.run(asyncio.sleep(0))", "1");
    std::raise(SIGINT);
    CHECK(seen == 1);
    CHECK_FALSE(host.interrupted());
  }
  std::signal(SIGINT, SIG_DFL);
}

TEST_CASE("SIGINT keeps its default action if the application has no handler") {
  std::signal(SIGINT, SIG_DFL);
  Host host(over_fixtures());
  evaluate(host, "import signal, asyncio; asyncio.run(asyncio.sleep(0))", "1");
  struct sigaction now{};
  sigaction(SIGINT, nullptr, &now);
  CHECK((now.sa_handler == SIG_DFL));
}

TEST_CASE("an unusable venv or home is refused, and the next host opens") {
  const auto refused = [](Options options, const char* message) {
    REQUIRE_ERROR(error, StartupFailed, Host(options).run("wins"));
    CHECK_SAYS(error, message);
    CHECK_FALSE(error.hint().empty());
  };
  // The error depends on whether another test has started Python in this process.
  refused({.module_paths = {fixtures}, .venv = "no/such/venv"}, "no/such/venv");
  refused({.module_paths = {fixtures}, .python = {.home = "/no/such/home"}}, "/no/such/home");
  CHECK(Host(over_fixtures()).run("wins") == "second");
}

TEST_CASE("a host reports which Python it runs") {
  Host host(over_fixtures());
  const Environment& environment = host.environment();
  CHECK(evaluate(host, "import sys", "'%d.%d.%d' % sys.version_info[:3]") == environment.version);
  CHECK(evaluate(host, "import sys", "sys.base_prefix") == environment.home.string());
  CHECK(evaluate(host, "import sys", "sys.executable") == environment.executable.string());
}

TEST_CASE("output of a forked child goes to its descriptors, not to on_output") {
  const test::ModuleFolder folder;
  std::string output;
  Options options = over_fixtures();
  options.callbacks.on_output = [&](const Output& piece) { output += piece.text; };
  Host host(std::move(options));
  const auto file = folder.path() / "printed";
  const Json child = test::evaluated(host, "os.waitpid(child, 0)[1]",
                                     "import os\n"
                                     "print('parent, ', end='')\n"
                                     "child = os.fork()\n"
                                     "if child == 0:\n"
                                     "    os.dup2(os.open('" +
                                         file.string() +
                                         "', os.O_WRONLY | os.O_CREAT), 1)\n"
                                         "    print('child')\n"
                                         "    os._exit(0)\n"
                                         "print('parent')\n");
  CHECK(child == 0);
  CHECK(output == "parent, parent\n");
  std::string printed;
  std::ifstream stream(file);
  std::getline(stream, printed);
  CHECK(printed == "child");
}
