// The tests' main, which is doctest's, but for a worker of the tests' own pools.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <pyhost/main.hpp>

int main(int argc, char** argv) {
  if (const auto code = pyhost::worker_main(argc, argv)) return *code;
  return doctest::Context(argc, argv).run();
}
