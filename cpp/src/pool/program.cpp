// The program pyhost-worker: a worker process of a pool, and nothing else.
#include <cstdio>

#include "pyhost/python_main.hpp"
#include "pyhost/worker_main.hpp"

int main(int argc, char** argv) {
  if (const auto code = pyhost::python_main(argc, argv)) return *code;
  if (const auto code = pyhost::worker_main(argc, argv)) return *code;
  std::fprintf(stderr, "pyhost-worker is started by a pool of pyhost's, and by nobody else\n");
  return 2;
}
