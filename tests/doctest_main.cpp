// Runs the doctest cases. The same program is the worker process of the pools that the tests open.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <pyhost/main.hpp>

int main(int argc, char** argv) {
  if (const auto code = pyhost::worker_main(argc, argv)) return *code;
  return doctest::Context(argc, argv).run();
}
