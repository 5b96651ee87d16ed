// The tests' main, which is doctest's, but for a worker of the tests' own pools.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <pyhost/worker_main.hpp>

int main(int argc, char** argv) {
  if (const auto code = pyhost::worker_main(argc, argv)) return *code;
  return doctest::Context(argc, argv).run();
}

#if defined(PYHOST_SANITIZED) && !defined(__SANITIZE_ADDRESS__)
#error "the sanitizer preset is on, but the compiler was not told"
#endif

#ifdef PYHOST_SANITIZED
#include <sanitizer/asan_interface.h>

TEST_CASE("the sanitizer is in") {
  char* byte = new char('x');
  CHECK(__asan_address_is_poisoned(byte) == 0);
  const char* gone = byte;
  delete byte;
  CHECK(__asan_address_is_poisoned(gone) == 1);
}
#endif
