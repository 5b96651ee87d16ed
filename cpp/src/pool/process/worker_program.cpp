// The program pyhost-worker: a worker process of a pool, and nothing else.
#include <cstdio>

#include "pyhost/main.hpp"

#ifdef PYHOST_SANITIZED
// Crashes and failed allocations of a module must have the same effect as without the sanitizer.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() {
  return "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0:"
         "allocator_may_return_null=1";
}
#endif

int main(int argc, char** argv) {
  if (const auto code = pyhost::python_main(argc, argv)) return *code;
  if (const auto code = pyhost::worker_main(argc, argv)) return *code;
  std::fprintf(stderr, "pyhost-worker cannot be run by hand: a pool of pyhost starts it\n");
  return 2;
}
