// Converts numbers to decimal digits and back, and compares with the standard library.
#include "convert/decimal.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <random>
#include <string>

using namespace pyhost::detail;

namespace {

double read(const Decimal& decimal) {
  const std::string text = std::to_string(decimal.digits) + "e" + std::to_string(decimal.exponent);
  double number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// The digits without trailing zeros.
std::string digits_of(const Decimal& decimal) {
  std::string digits = std::to_string(decimal.digits);
  digits.erase(digits.find_last_not_of('0') + 1);
  return digits;
}

std::string shortest_by_library(double number) {
  char text[40];
  const auto [end, error] = std::to_chars(text, text + sizeof text, number, std::chars_format::scientific);
  std::string digits(text, end);
  digits.erase(digits.find('e'));
  std::erase(digits, '.');
  digits.erase(digits.find_last_not_of('0') + 1);
  return digits;
}

void check_shortest(double number) {
  const Decimal decimal = shortest_decimal(number);
  if (digits_of(decimal) != shortest_by_library(number) || read(decimal) != number) {
    FAIL_CHECK("not the shortest of " << number << ": " << digits_of(decimal));
  }
  char text[number_room];
  char* const end = write_decimal(number, text);
  double back = 0;
  const bool whole = std::from_chars(text, end, back).ptr == end;
  if (!whole || back != number) FAIL_CHECK("written wrongly: " << std::string(text, end));
}

void check_integer(std::int64_t number) {
  char text[number_room];
  const std::string written(text, write_integer(number, text));
  if (written != std::to_string(number)) FAIL_CHECK("written wrongly: " << written);
}

void check_closest(const Decimal& decimal) {
  const double found = closest_double(decimal);
  if (found >= 0 && found != read(decimal)) FAIL_CHECK(decimal.digits << 'e' << decimal.exponent);
}

}  // namespace

TEST_CASE("powers of two and their neighbours are written with the fewest digits") {
  for (std::uint64_t exponent = 0; exponent < 0x7ff; ++exponent) {
    for (const std::uint64_t fraction : {0ULL, 1ULL, 2ULL, (1ULL << 51U), (1ULL << 52U) - 1}) {
      const std::uint64_t bits = exponent << 52U | fraction;
      if (bits != 0) check_shortest(std::bit_cast<double>(bits));
    }
  }
}

TEST_CASE("random doubles are written with the fewest digits and read back equal") {
  std::mt19937_64 random(1);
  for (int i = 0; i < 200'000; ++i) {
    const auto number = std::abs(std::bit_cast<double>(random()));
    if (!std::isfinite(number) || number == 0) continue;
    check_shortest(number);
    check_closest(shortest_decimal(number));
  }
}

TEST_CASE("decimals with few digits and their neighbours are written with the fewest digits") {
  for (int exponent = -330; exponent <= 308; ++exponent) {
    for (const int digits : {1, 5, 9, 10, 25, 99, 123, 7001}) {
      const double number = read({static_cast<std::uint64_t>(digits), exponent});
      if (number == 0 || !std::isfinite(number)) continue;
      check_shortest(number);
      check_shortest(std::nextafter(number, 0.5));
      check_shortest(std::nextafter(number, 2.0));
    }
  }
}

TEST_CASE("doubles half-way between two decimals are written with the even one") {
  for (int i = 1; i < 1000; i += 2) check_shortest(std::ldexp(static_cast<double>((1LL << 52U) + i), -2));
  CHECK(shortest_decimal(1125899906842625.25).digits == 11258999068426252);
  CHECK(shortest_decimal(1125899906842625.75).digits == 11258999068426258);
}

TEST_CASE("decimals near half-way between two doubles are read as the closest, or left to the slow path") {
  std::mt19937_64 random(2);
  int told = 0;
  for (int i = 0; i < 200'000; ++i) {
    const std::uint64_t halfway = (std::uint64_t{1} << 53U | random() >> 11U) * 2 + 1;
    const auto exponent = static_cast<std::int64_t>(random() % 60) - 30;
    for (const std::uint64_t digits : {halfway, halfway - 1, halfway + 1}) check_closest({digits, exponent});
    if (closest_double({halfway, exponent}) >= 0) ++told;
  }
  CHECK(told > 190'000);
}

TEST_CASE("subnormal and infinite doubles are left to the slow path") {
  CHECK(closest_double({0, 0}) < 0);
  CHECK(closest_double({5, -324}) < 0);
  CHECK(closest_double({1, 309}) < 0);
  CHECK(closest_double({1, 22}) == 1e22);
  CHECK(closest_double({9007199254740993, 0}) == 9007199254740992.0);
}

TEST_CASE("integers of every length are written as by the standard library") {
  for (std::int64_t power = 1;; power *= 10) {
    for (const std::int64_t number : {power - 1, power, power + 1, power / 10 * 7 + 30}) {
      check_integer(number);
      check_integer(-number);
    }
    if (power > std::numeric_limits<std::int64_t>::max() / 10) break;
  }
  check_integer(std::numeric_limits<std::int64_t>::max());
  check_integer(std::numeric_limits<std::int64_t>::min());
  std::mt19937_64 random(3);
  for (int i = 0; i < 100'000; ++i) check_integer(static_cast<std::int64_t>(random()) >> random() % 64U);
}
