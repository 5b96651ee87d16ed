#include <doctest/doctest.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <future>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

#include "services/logging.hpp"
#include "support.hpp"

using namespace pyhost;
using test::over_fixtures;

namespace {

// Restores the settings of logging, which are global to the process.
constexpr const char* restores =
    "logging.disable(0); logging.getLogger().setLevel(30); logging.getLogger().handlers.clear()\n"
    "desk = logging.getLogger('desk'); desk.setLevel(0); desk.disabled = False; desk.propagate = True\n";

// Captures the stderr of this process during its lifetime.
class Stderr {
 public:
  Stderr() { dup2(fileno(file_), STDERR_FILENO); }
  ~Stderr() {
    dup2(before_, STDERR_FILENO);
    close(before_);
    std::fclose(file_);
  }
  Stderr(const Stderr&) = delete;
  Stderr& operator=(const Stderr&) = delete;

  std::string text() const {
    std::string all(4096, '\0');
    const ssize_t got = pread(fileno(file_), all.data(), all.size(), 0);
    all.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return all;
  }

 private:
  std::FILE* file_ = std::tmpfile();
  int before_ = dup(STDERR_FILENO);
};

// Collects the log records of a host.
class Log {
 public:
  Options options() {
    Options options = over_fixtures();
    options.logging.on_log = [this](const LogRecord& record) {
      const std::lock_guard lock(mutex_);
      records_.push_back(record);
    };
    return options;
  }

  std::vector<LogRecord> taken(Host& host) {
    REQUIRE(host.logs().flush(test::patience));
    const std::lock_guard lock(mutex_);
    return std::exchange(records_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<LogRecord> records_;
};

}  // namespace

TEST_CASE("a log record reaches the application as plain data") {
  Log log;
  Host host(log.options());
  const auto before = std::chrono::system_clock::now() - std::chrono::seconds(1);
  host.run("logs", {{"extra", {{"symbol", "ABC"}, {"sizes", {1, 2}}}}});
  const std::vector<LogRecord> records = log.taken(host);
  REQUIRE(records.size() == 1);
  const LogRecord& record = records[0];
  CHECK(record.level == LogLevel::Warning);
  CHECK(record.number == 30);
  CHECK(record.logger == "desk");
  CHECK(record.message == "spread is 0.5");
  CHECK(record.fields == Json{{"symbol", "ABC"}, {"sizes", {1, 2}}});
  CHECK(std::filesystem::path(record.file).filename() == "logs.py");
  CHECK(record.line > 0);
  CHECK(record.function == "run");
  CHECK(record.module == "logs");
  CHECK(record.run > 0);
  CHECK(record.time > before);
  CHECK_FALSE(record.error.has_value());
  CHECK(record.to_json()["level"] == "warning");
  CHECK(record.to_json()["time"].get<std::string>().size() ==
        std::string("2026-01-01T00:00:00.000000Z").size());
}

TEST_CASE("the records of a run have the id of the run") {
  Log log;
  Host host(log.options());
  host.run("logs", {{"times", 2}});
  host.run("logs");
  const std::vector<LogRecord> records = log.taken(host);
  REQUIRE(records.size() == 3);
  CHECK(records[0].run == records[1].run);
  CHECK(records[0].run != records[2].run);
}

TEST_CASE("a log record is the same after serialization") {
  Log log;
  Host host(log.options());
  host.run("evaluates",
           {{"first", "import logging\ntry:\n  1/0\nexcept Exception:\n  logging.exception('no')"},
            {"give", "logging.log(35, 'more', extra={'a': 1})"}});
  const std::vector<LogRecord> records = log.taken(host);
  REQUIRE(records.size() == 2);
  for (const LogRecord& record : records) {
    const LogRecord back = detail::log_record_from_json(record.to_json());
    CHECK(back.to_json() == record.to_json());
    CHECK(back.level == record.level);
    CHECK(back.time == record.time);
    CHECK(back.error.has_value() == record.error.has_value());
    if (back.error) CHECK(back.error->to_json() == record.error->to_json());
  }
  CHECK_THROWS_AS(detail::log_record_from_json(Json::object()), Json::exception);
}

TEST_CASE("a logged exception arrives as an error") {
  Log log;
  Host host(log.options());
  host.run("logs", {{"times", 0},
                    {"first", "try:\n  1/0\nexcept ZeroDivisionError:\n  logging.exception('no price')"}});
  const std::vector<LogRecord> records = log.taken(host);
  REQUIRE(records.size() == 1);
  REQUIRE(records[0].error.has_value());
  CHECK(records[0].error->exception().type == "ZeroDivisionError");
  CHECK(records[0].to_json()["exception"]["type"] == "ZeroDivisionError");
}

TEST_CASE("the application sets the level, and a logger can set its own") {
  Log log;
  Options options = log.options();
  options.logging.level = LogLevel::Info;
  Host host(options);
  host.run("logs", {{"level", 10}});
  CHECK(log.taken(host).empty());
  host.run("logs", {{"level", 20}});
  CHECK(log.taken(host).size() == 1);
  host.run("logs", {{"level", 20}, {"first", "logging.getLogger().setLevel(50)"}});
  CHECK(log.taken(host).size() == 1);
  host.run("logs", {{"level", 20}, {"first", "logging.getLogger('desk').setLevel(40)"}});
  CHECK(log.taken(host).empty());
  host.run("logs", {{"times", 0}, {"first", restores}});
}

TEST_CASE("records reach the application whatever a module does to logging") {
  Log log;
  Host host(log.options());
  for (const char* first : {
           "logging.basicConfig()",
           "logging.basicConfig(force=True, handlers=[logging.NullHandler()], level=50)",
           "logging.getLogger().handlers.clear()",
           "import logging.config; logging.config.dictConfig({'version': 1})",
           "logging.shutdown()",
           "logging.getLogger('desk').propagate = False",
       }) {
    INFO(first);
    host.run("logs", {{"first", first}});
    CHECK(log.taken(host).size() == 1);
  }
  host.run("logs", {{"first", "logging.disable(30)"}});
  CHECK(log.taken(host).empty());  // logging.disable() still applies to all loggers
  host.run("logs", {{"times", 0}, {"first", restores}});
}

TEST_CASE("records from on_unload reach the application") {
  std::vector<std::string> messages;
  Options options = over_fixtures();
  options.logging.on_log = [&](const LogRecord& record) {
    messages.push_back(record.module + " " + std::to_string(record.run > 0) + " " + record.message);
  };
  {
    Host host(options);
    const Instance open =
        host.load("evaluates")
            .create({{"first",
                      "import logging, sys\n"
                      "sys.modules['modules.evaluates'].on_unload = lambda: logging.error('on_unload')\n"},
                     {"give", "None"}});
    Instance(open).run();
  }
  CHECK(messages == std::vector<std::string>{"evaluates 1 on_unload"});
}

TEST_CASE("a field that is not JSON is passed on as its repr, and bad arguments are reported") {
  Log log;
  Host host(log.options());
  host.run("logs", {{"times", 0},
                    {"first",
                     "class Bad:\n  def __repr__(self): 1/0\n"
                     "logging.warning('%d', 'x', extra={'a': {1}, 'b': {'c': b'd'}, 'e': Bad()})"}});
  const std::vector<LogRecord> records = log.taken(host);
  REQUIRE(records.size() == 1);
  CHECK(records[0].fields["a"] == "{1}");
  CHECK(records[0].fields["b"] == "{'c': b'd'}");
  CHECK(records[0].fields["e"] == "<Bad whose repr fails>");
  CHECK(records[0].message.starts_with("%d (its arguments do not fit: TypeError("));
}

TEST_CASE("an unusual record reaches the application") {
  Log log;
  Host host(log.options());
  host.run("logs", {{"times", 0}, {"first", restores}});
  const std::string odd =
      "class Bad(Exception):\n  def __str__(self): raise self\n  __repr__ = __str__\n"
      "class Number(logging.LogRecord):\n  def getMessage(self): return 7\n"
      "def handle(**odd): log.handle(logging.makeLogRecord({'msg': 'odd', 'levelno': 40, **odd}))\n"
      "log = logging.getLogger('desk')\n";
  const auto logged = [&](const std::string& first) {
    host.run("logs", {{"times", 0}, {"first", odd + first}});
    const std::vector<LogRecord> records = log.taken(host);
    REQUIRE_MESSAGE(records.size() == 1, first);
    return records[0];
  };
  CHECK(logged("log.error(Bad())").message == "<Bad whose str fails>");
  CHECK(logged("log.error('%s', Bad())").message == "%s (its arguments do not fit: <Bad whose repr fails>)");
  CHECK(logged("log.handle(Number('desk', 40, '', 0, '', (), None))").message == "7");
  CHECK(logged("handle(lineno=None)").line == 0);
  CHECK(logged("handle(levelno=2**40)").number == std::numeric_limits<int>::max());
  CHECK(logged("handle(levelno=None)").level == LogLevel::Warning);
  CHECK(logged("logging.basicConfig(); handle(levelno=None)").level == LogLevel::Warning);
  CHECK(logged("handle(created='then')").time > std::chrono::system_clock::now() - std::chrono::hours(1));
  const LogRecord no_exception = logged("handle(exc_info=(ValueError, 'no exception', None))");
  CHECK_FALSE(no_exception.error.has_value());
  CHECK(no_exception.fields["exc_info"] == "(<class 'ValueError'>, 'no exception', None)");
  CHECK(logged("log.error('none', exc_info=False)").fields.empty());
}

TEST_CASE("a long record is cut") {
  Log log;
  Host host(log.options());
  host.run("logs", {{"times", 0},
                    {"first",
                     "logging.warning('é' * 70_000, extra={'many': list(range(1_000_000)), 'more': 1})\n"
                     "logging.warning('x', extra={'few': [1, 2], 'text': 'é' * 70_000})"}});
  const std::vector<LogRecord> records = log.taken(host);
  REQUIRE(records.size() == 2);
  CHECK(records[0].message.ends_with("é… (cut, 70000 characters in all)"));
  CHECK(records[0].fields["many"].get<std::string>().starts_with("[0,1,2,"));
  CHECK(records[0].fields["many"].get<std::string>().ends_with("… (cut, 6888891 bytes in all)"));
  CHECK(records[0].fields["…"] == "1 more omitted");
  CHECK(records[0].fields.dump().size() < 70'000);
  CHECK(records[1].fields["few"] == Json{1, 2});
  CHECK(records[1].fields["text"].get<std::string>().ends_with("é… (cut, 140000 bytes in all)"));
}

TEST_CASE("no part of a record contains a secret") {
  Log log;
  Options options = log.options();
  options.connections = {{"prices", "https://127.0.0.1/${KEY}"}};
  Host host(options);
  host.run("logs",
           {{"times", 0},
            {"first",
             "import _pyhost\n"
             "secret = 'open sesame'\n"
             "_pyhost.hide(secret)\n"
             "try: raise ValueError(secret)\n"
             "except ValueError as error: raised = error\n"
             "logging.getLogger(secret).error('x' * 65_530 + secret, exc_info=raised, extra={\n"
             "  'text': secret, secret: 1, 'deep': [{secret: [secret]}], 'repr': {secret},\n"
             "  'cut': {'x' * 8_185 + secret}})\n"
             "record = logging.makeLogRecord({'levelno': 40, 'stack_info': secret, 'funcName': secret})\n"
             "logging.getLogger().handle(record)\n"}});
  const std::vector<LogRecord> records = log.taken(host);
  REQUIRE(records.size() == 2);
  for (const LogRecord& record : records) {
    const std::string shown = record.to_json().dump();
    CHECK_MESSAGE(shown.find("open") == std::string::npos, shown.substr(shown.find("open"), 100));
  }
  CHECK(records[0].logger == "***");
  CHECK(records[0].fields["deep"] == Json::parse(R"([{"***": ["***"]}])"));
  CHECK(records[1].fields["stack_info"] == "***");
}

TEST_CASE("a record passed to Logger.handle reaches the handlers, whatever the level") {
  Log log;
  Host host(log.options());
  const Json seen = test::evaluated(
      host, "[record.msg for record in seen]",
      "import logging\n"
      "seen = []\n"
      "class Own(logging.Handler):\n  def emit(self, record): seen.append(record)\n"
      "log = logging.getLogger('own'); log.addHandler(Own()); log.setLevel(40); log.propagate = False\n"
      "log.handle(logging.makeLogRecord({'msg': 'handled', 'levelno': 10}))\n"
      "log.setLevel(0); logging.getLogger().setLevel(50)\n"
      "log.error('for the host alone')\n"
      "logging.getLogger().setLevel(30); log.handlers.clear()");
  CHECK(seen == Json{"handled"});
  const std::vector<LogRecord> records = log.taken(host);
  REQUIRE(records.size() == 1);
  CHECK(records[0].message == "for the host alone");
  CHECK(records[0].fields.empty());
}

TEST_CASE("a module that replaces the record factory does not prevent later hosts from opening") {
  const std::string loads_anew = "import importlib, logging; importlib.reload(logging)\n";
  {
    Host host(over_fixtures());
    test::evaluated(host, "None", loads_anew + "logging.setLogRecordFactory(lambda *_, **__: 1 / 0)");
  }
  Log log;
  Host host(log.options());
  test::evaluated(host, "None", loads_anew + "logging.warning('x', extra={'symbol': 'ABC'})");
  const std::vector<LogRecord> records = log.taken(host);
  REQUIRE(records.size() == 1);
  CHECK(records[0].fields == Json{{"symbol", "ABC"}});
}

TEST_CASE("a module that removes pyhost's modules does not break logging for the next host") {
  Host(over_fixtures()).run("logs", {{"times", 0}, {"first", restores}});
  for (int i = 0; i < 2; ++i) {
    Log log;
    Host host(log.options());
    test::evaluated(host, "None",
                    "import logging, sys\n"
                    "for name in [name for name in sys.modules if 'pyhost' in name]: del sys.modules[name]\n"
                    "logging.getLogger('desk').warning('x')");
    CHECK(log.taken(host).size() == 1);
  }
  std::string printed;
  Options options = over_fixtures();
  options.callbacks.on_output = [&](const Output& output) { printed += output.text; };
  Host host(options);
  test::evaluated(host, "None",
                  "import logging; logging.getLogger().handlers.clear()\n"
                  "logging.getLogger('desk').warning('x')");
  CHECK(printed == "x\n");
}

TEST_CASE("a module does not wait for a slow sink, and dropped records are counted") {
  std::promise<void> entered, go_on;
  std::atomic<bool> first = true;
  std::vector<std::uint64_t> dropped;
  Options options = over_fixtures();
  options.logging.queue_size = 10;
  options.logging.on_log = [&](const LogRecord& record) {
    dropped.push_back(record.dropped);
    if (!first.exchange(false)) return;
    entered.set_value();
    go_on.get_future().wait();
  };
  Host host(options);
  host.run("logs");
  entered.get_future().wait();
  host.run("logs", {{"times", 25}});
  CHECK(host.logs().dropped() == 15);
  CHECK_FALSE(host.logs().flush(std::chrono::milliseconds(1)));
  go_on.set_value();
  CHECK(host.logs().flush(test::patience));
  host.run("logs");
  CHECK(host.logs().flush(test::patience));
  REQUIRE(dropped.size() == 12);
  CHECK(dropped.back() == 15);
}

TEST_CASE("closing a host waits for its sink, up to the shutdown timeout") {
  std::promise<void> go_on;
  const std::shared_future<void> released = go_on.get_future().share();
  std::promise<void> entered, left;
  int given = 0;
  {
    Options options = over_fixtures();
    options.logging.on_log = [&](const LogRecord&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ++given;
    };
    Host(options).run("logs", {{"times", 100}});
  }
  CHECK(given == 100);
  {
    Options options = over_fixtures();
    options.shutdown_timeout = std::chrono::milliseconds(50);
    options.logging.on_log = [released, &entered, &left](const LogRecord&) {
      entered.set_value();
      released.wait();
      left.set_value();
    };
    const Stderr said;
    {
      Host host(options);
      host.run("logs", {{"times", 3}});
      entered.get_future().wait();
    }
    CHECK(said.text() == "pyhost: 2 log records were dropped, because on_log did not take them in time\n");
  }
  go_on.set_value();
  left.get_future().wait();
}

TEST_CASE("unreported dropped records are reported at the end, unless dropped() was called") {
  for (const bool asks : {false, true}) {
    std::promise<void> entered, go_on;
    std::shared_future<void> released = go_on.get_future().share();
    std::atomic<bool> first = true;
    Options options = over_fixtures();
    options.logging.queue_size = 2;
    options.logging.on_log = [&](const LogRecord&) {
      if (!first.exchange(false)) return;
      entered.set_value();
      released.wait();
    };
    const Stderr said;
    {
      Host host(options);
      host.run("logs");
      entered.get_future().wait();
      host.run("logs", {{"times", 5}});
      if (asks) CHECK(host.logs().dropped() == 3);
      go_on.set_value();
    }
    const std::string told = "pyhost: 3 log records were dropped, because on_log did not take them in time\n";
    CHECK(said.text() == (asks ? "" : told));
  }
}

TEST_CASE("the longest duration is accepted as a timeout") {
  constexpr auto longest = std::chrono::milliseconds::max();
  std::atomic<int> given = 0;
  Options options = over_fixtures();
  options.shutdown_timeout = longest;
  options.logging.on_log = [&](const LogRecord&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ++given;
  };
  {
    Host host(options);
    host.run("logs", {{"times", 10}});
    CHECK(host.logs().flush(longest));
    CHECK(given == 10);
    CHECK(host.logs().flush(std::chrono::milliseconds::min()));
    host.run("logs", {{"times", 10}});
  }
  CHECK(given == 20);
  const Host sets_it_back(over_fixtures());  // with the default timeout at the end of the process
}

TEST_CASE("a sink that runs a module while the host closes gets HostClosed") {
  std::promise<void> unloaded;
  std::shared_future<void> closing = unloaded.get_future().share();
  Host* running = nullptr;
  std::vector<std::string> told;
  Options options = over_fixtures();
  options.callbacks.on_event = [&](const Event& event) {
    if (event.kind == EventKind::Unloaded) unloaded.set_value();
  };
  options.logging.on_log = [&](const LogRecord&) {
    closing.wait();
    std::this_thread::sleep_for(std::chrono::seconds(1));  // until the host waits only for its log
    CHECK_FALSE(running->logs().flush());
    CHECK(running->logs().dropped() == 0);
    const auto error = test::error_of([&] { return running->run("logs"); });
    told.emplace_back(error ? to_string(error->kind()) : "it ran");
  };
  {
    Host host(options);
    running = &host;
    host.run("logs", {{"times", 2}});
  }
  CHECK(told == std::vector<std::string>(2, std::string(to_string(ErrorKind::HostClosed))));
}

TEST_CASE("a flush within a sink does not wait for itself") {
  Host* flushing = nullptr;
  std::atomic<int> flushed = -1;
  Options options = over_fixtures();
  options.logging.on_log = [&](const LogRecord&) {
    flushed = flushing->logs().flush(std::chrono::hours(1)) ? 1 : 0;
  };
  Host host(options);
  flushing = &host;
  host.run("logs");
  CHECK(host.logs().flush(test::patience));
  CHECK(flushed == 0);
}

TEST_CASE("the sink's thread blocks signals, except for those of its own faults") {
  sigset_t blocked;
  sigemptyset(&blocked);
  Options options = over_fixtures();
  options.logging.on_log = [&](const LogRecord&) { pthread_sigmask(SIG_BLOCK, nullptr, &blocked); };
  Host host(options);
  host.run("logs");
  CHECK(host.logs().flush(test::patience));
  for (const int others : {SIGINT, SIGTERM, SIGUSR1, SIGALRM}) CHECK(sigismember(&blocked, others) == 1);
  for (const int its_own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) CHECK(sigismember(&blocked, its_own) == 0);
}

TEST_CASE("a sink can throw, and can run modules that log") {
  std::atomic<int> given = 0;
  Host* running = nullptr;
  Options options = over_fixtures();
  options.logging.on_log = [&](const LogRecord&) {
    if (given++ == 0) running->run("logs");
    throw 7;
  };
  Host host(options);
  running = &host;
  host.run("logs");
  CHECK(host.logs().flush(test::patience));
  CHECK(host.logs().flush(test::patience));  // the records that the sink itself logged
  CHECK(given == 2);
}

TEST_CASE("a record from a module's thread names the module") {
  Log log;
  Host host(log.options());
  host.run("evaluates", {{"first",
                          "import threading, logging\n"
                          "t = threading.Thread(target=exec, args=(\"import logging; logging.error('x')\", "
                          "{'__name__': 'modules.evaluates'})); t.start(); t.join()"},
                         {"give", "None"}});
  const std::vector<LogRecord> records = log.taken(host);
  REQUIRE(records.size() == 1);
  CHECK(records[0].module == "evaluates");
  CHECK(records[0].run == 0);
}

TEST_CASE("without a sink, logging is as under python3") {
  {
    Log log;
    Host host(log.options());
    host.run("logs", {{"first", restores}});
    CHECK(log.taken(host).size() == 1);
  }
  std::string printed;
  Options options = over_fixtures();
  options.callbacks.on_output = [&](const Output& output) { printed += output.text; };
  Host host(options);
  host.run("logs");
  CHECK(printed == "spread is 0.5\n");
}
