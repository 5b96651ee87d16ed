// soak CRASHES TIMEOUTS MODULES: lets this many workers crash or time out, and then reports leaked processes,
// descriptors and memory. The test suite uses small numbers. For a long test, run it with 10000 10001.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <pyhost/pyhost.hpp>
#include <string>

#include "programs.hpp"

namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

std::ptrdiff_t descriptors() {
  return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
}

long resident_pages() {
  std::ifstream statm("/proc/self/statm");
  long all = 0, resident = 0;
  statm >> all >> resident;
  return resident;
}

// Makes `count` runs that must fail with this kind, and some that must succeed. Returns the number of wrong
// outcomes.
int wrong(pyhost::Pool& pool, long count, const char* how, pyhost::RunOptions submission,
          pyhost::ErrorKind kind) {
  int wrong = 0;
  for (long i = 0; i < count; ++i) {
    try {
      pool.submit("ruins_its_process", {{"how", how}}, submission).get();
      ++wrong;
    } catch (const pyhost::Error& error) {
      wrong += error.kind() != kind;
    }
    if (i % 10 == 0) wrong += pool.submit("wins").get() != "second";
  }
  return wrong;
}

}  // namespace

int pyhost::test::soak(int argc, char** argv) {
  if (argc != 4) return 2;
  const long crashes = std::stol(argv[1]), timeouts = std::stol(argv[2]);
  pyhost::Host host({.module_paths = {argv[3]}});
  const auto before = descriptors();
  long pages = 0;
  int failures = 0;
  {
    pyhost::Pool pool(host, {.workers = 1, .isolation = pyhost::Isolation::Process});
    failures += wrong(pool, std::min(crashes, 50L), "exit", {}, pyhost::ErrorKind::WorkerCrashed);
    pages = resident_pages();
    failures += wrong(pool, crashes, "segfault", {}, pyhost::ErrorKind::WorkerCrashed);
    failures += wrong(pool, timeouts, "loop", {.timeout = 5ms}, pyhost::ErrorKind::TimedOut);
    failures += pool.submit("wins").get() != "second";
  }
  const long grown = (resident_pages() - pages) * sysconf(_SC_PAGESIZE) / 1024;
  const bool children = waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD;
  const auto left = descriptors() - before;
  std::printf("%ld crashes, %ld timeouts: %d wrong, %td descriptors and %s left, %ld KiB more resident\n",
              crashes, timeouts, failures, left, children ? "children" : "no child", grown);
#ifdef PYHOST_SANITIZED  // the sanitizer keeps freed memory for a while, to find uses after free
  constexpr long may_grow = 1 << 20;
#else
  constexpr long may_grow = 2048;
#endif
  return failures == 0 && left == 0 && !children && grown < may_grow ? 0 : 1;
}
