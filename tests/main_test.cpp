// doctest's own main, and the paths and checks that all tests share.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

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
