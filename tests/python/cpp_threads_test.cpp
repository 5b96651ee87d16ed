#include <Python.h>
#include <doctest/doctest.h>

#include <string>
#include <thread>

#include "support.hpp"

using namespace pyhost;
using test::evaluated;
using test::over_fixtures;

namespace {

Json evaluated_on_thread(Host& host, const std::string& give, const std::string& first = {}) {
  Json result;
  std::thread([&] { result = evaluated(host, give, first); }).join();
  return result;
}

}  // namespace

TEST_CASE("a thread that a module starts on a C++ thread is not a daemon, nor is a thread that it starts") {
  Host host(over_fixtures());
  const char* const start =
      "import threading\n"
      "seen = []\n"
      "def outer():\n"
      "    inner = threading.Thread(target=lambda: seen.append(threading.current_thread().daemon))\n"
      "    inner.start(); inner.join()\n"
      "thread = threading.Thread(target=outer)\n"
      "thread.start(); thread.join()\n";
  CHECK(evaluated_on_thread(host, "[thread.daemon, *seen]", start) == Json{false, false});
  CHECK(evaluated(host, "[thread.daemon, *seen]", start) == Json{false, false});
}

TEST_CASE("a C++ thread that has ended is not among Python's threads") {
  Host host(over_fixtures());
  const char* const names = "sorted(each.name for each in threading.enumerate())";
  const Json before = evaluated(host, names, "import threading");
  CHECK(evaluated_on_thread(host, "threading.current_thread() in threading.enumerate()",
                            "import threading") == true);
  CHECK(evaluated(host, names, "import threading") == before);
}

TEST_CASE("threading.settrace and setprofile apply to C++ threads that run their first module afterwards") {
  Host host(over_fixtures());
  evaluated(host, "None",
            "import sys, threading\n"
            "sys.seen_in_threads = set()\n"
            "def trace(frame, event, what): sys.seen_in_threads.add('trace')\n"
            "def profile(frame, event, what): sys.seen_in_threads.add('profile')\n"
            "threading.settrace(trace)\n"
            "threading.setprofile(profile)\n");
  const Json seen = evaluated_on_thread(host, "sorted(sys.seen_in_threads)", "import sys\n(lambda: 0)()\n");
  evaluated(host, "None",
            "import sys, threading\nthreading.settrace(None)\nthreading.setprofile(None)\n"
            "del sys.seen_in_threads\n");
  CHECK(seen == Json{"profile", "trace"});
}

TEST_CASE("a child that is forked on a C++ thread exits normally") {
  // In CPython 3.13 to 3.15, a forked child crashes if a pool has leaked an interpreter.
  if (PyInterpreterState_Head() != PyInterpreterState_Main()) return;
  Host host(over_fixtures());
  const char* const fork =
      "import os, sys, threading\n"
      "def ended():\n"
      "    sys.stdout.flush()\n"
      "    child = os.fork()\n"
      "    if child == 0:\n"
      "        try:\n"
      "            is_main = threading.current_thread() is threading.main_thread()\n"
      "            threading._shutdown()\n"
      "            os._exit(7 if is_main else 8)\n"
      "        finally:\n"
      "            os._exit(9)\n"
      "    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n";
  CHECK(evaluated_on_thread(host, "[ended(), threading.current_thread() in threading.enumerate()]", fork) ==
        Json{7, true});
}
