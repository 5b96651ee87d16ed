// Checks that the sanitizer presets enable their sanitizers.
#include <doctest/doctest.h>

#ifndef __SANITIZE_ADDRESS__
#error "the sanitizer preset is on, but the compiler was not told"
#endif

#include <sanitizer/asan_interface.h>

TEST_CASE("the build is instrumented by its sanitizer") {
  char* byte = new char('x');
  CHECK(__asan_address_is_poisoned(byte) == 0);
  const char* gone = byte;
  delete byte;
  CHECK(__asan_address_is_poisoned(gone) == 1);
}
