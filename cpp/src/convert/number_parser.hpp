// Reads the numbers of JSON text. Digits after the point are read eight at a time.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "convert/decimal.hpp"
#include "python/py_string.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

enum : unsigned char { space = 1, ends_scalar = 2, digit = 4 };

constexpr std::array<unsigned char, 256> make_kinds() {
  std::array<unsigned char, 256> kinds{};
  for (const char c : std::string_view(" \t\n\r")) kinds[static_cast<unsigned char>(c)] = space | ends_scalar;
  for (const char c : std::string_view(",:[]{}")) kinds[static_cast<unsigned char>(c)] = ends_scalar;
  for (const char c : std::string_view("0123456789")) kinds[static_cast<unsigned char>(c)] = digit;
  return kinds;
}
inline constexpr std::array<unsigned char, 256> kinds = make_kinds();

inline bool is(char c, unsigned kind) { return (kinds[static_cast<unsigned char>(c)] & kind) != 0; }

// Returns more than 9 for a character that is not a digit.
inline unsigned digit_value(char c) { return static_cast<unsigned char>(c - '0'); }

// The powers of ten that a double holds exactly.
inline constexpr std::array<double, 23> exact_powers{1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                     1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
inline constexpr std::array<std::uint32_t, 9> small_powers{1,       10,        100,        1'000,      10'000,
                                                           100'000, 1'000'000, 10'000'000, 100'000'000};

// Returns how many of eight characters come before the first one that is not a digit.
inline unsigned leading_digits(std::uint64_t characters) {
  constexpr std::uint64_t ones = 0x0101010101010101U;
  const std::uint64_t values = characters ^ ones * '0';
  // Sets the high bit of each byte that is not a digit. Bytes above one may be wrong.
  const std::uint64_t others = ((values + ones * 0x76) | values) & ones * 0x80;
  return static_cast<unsigned>(std::countr_zero(others)) / 8;
}

// Combines neighbouring digits into pairs, pairs into fours, and fours into eight digits. Each product adds
// ten, a hundred or ten thousand times the first of two to the second. A zero byte counts as the digit 0.
inline std::uint64_t eight_digits(std::uint64_t characters) {
  characters = (characters & 0x0f0f0f0f0f0f0f0fU) * ((10U << 8U) + 1) >> 8U;
  characters = (characters & 0x00ff00ff00ff00ffU) * ((100U << 16U) + 1) >> 16U;
  return (characters & 0x0000ffff0000ffffU) * ((std::uint64_t{10000} << 32U) + 1) >> 32U;
}

// Appends the digits from `at` to a number, and moves `at` behind them.
inline void read_digits(const char*& at, const char* end, std::uint64_t& number) {
  while (end - at >= 8) {
    const std::uint64_t characters = load8_in_order(at);
    const unsigned digits = leading_digits(characters);
    if (digits == 0) return;
    number = number * small_powers[digits] + eight_digits(characters << (64 - 8 * digits));
    at += digits;
    if (digits < 8) return;
  }
  for (; is(*at, digit); ++at) number = number * 10 + static_cast<unsigned>(*at - '0');
}

[[gnu::noinline]] inline PyObject* large_integer(const char* first, const char* last) {
  return PyLong_FromString(std::string(first, last).c_str(), nullptr, 10);
}

// Returns null, without a Python error, for a float that is too large.
[[gnu::noinline]] inline PyObject* precise_float(const char* first, const char* last) {
  double value = 0;
  const auto [after, error] = std::from_chars(first, last, value);
  return error == std::errc() && std::isfinite(value) ? PyFloat_FromDouble(value) : nullptr;
}

// Reads a number with a point or an exponent. The text from `digits` to `at` is before it, and its value is
// in `mantissa`.
[[gnu::noinline]] inline PyObject* read_float(const char* first, const char* digits, const char* at,
                                              const char* end, std::uint64_t mantissa) {
  const bool negative = digits != first;
  std::ptrdiff_t all_digits = at - digits;
  std::int64_t exponent = 0;
  if (*at == '.') {
    const char* fraction = ++at;
    read_digits(at, end, mantissa);
    exponent = fraction - at;
    if (exponent == 0) return nullptr;
    all_digits -= exponent;
  }
  if (!is(*at, ends_scalar)) {
    if (*at != 'e' && *at != 'E') return nullptr;
    ++at;
    const bool minus = *at == '-';
    if (minus || *at == '+') ++at;
    const char* power = at;
    std::int64_t written = 0;
    for (; is(*at, digit); ++at) written = std::min<std::int64_t>(written * 10 + (*at - '0'), 1'000'000'000);
    if (at == power || !is(*at, ends_scalar)) return nullptr;
    exponent += minus ? -written : written;
  }
  if (all_digits > 19) return precise_float(first, at);
  double value = 0;
  // Both operands are exact, so the one operation rounds correctly (Clinger, 1990).
  if (mantissa <= std::uint64_t{1} << 53U && exponent >= -22 && exponent <= 22) {
    value = static_cast<double>(mantissa);
    value = exponent < 0 ? value / exact_powers[static_cast<std::size_t>(-exponent)]
                         : value * exact_powers[static_cast<std::size_t>(exponent)];
  } else {
    value = closest_double({mantissa, exponent});
    if (value < 0) return precise_float(first, at);
  }
  return PyFloat_FromDouble(negative ? -value : value);
}

/// Returns the int or float of a number, or null if it is not valid JSON or not finite. The text must have a
/// character before `end` that ends the number.
inline PyObject* read_number(const char* first, const char* end) {
  const char* const digits = first + (*first == '-' ? 1 : 0);
  const char* at = digits;
  std::uint64_t whole = 0;
  // Most numbers have few digits before the point, so that this is faster than eight digits at a time.
  for (; digit_value(*at) <= 9; ++at) whole = whole * 10 + digit_value(*at);
  const auto size = at - digits;
  if (size == 0 || (*digits == '0' && size > 1)) return nullptr;
  if (!is(*at, ends_scalar)) return read_float(first, digits, at, end, whole);
  if (size > 19 || whole > std::uint64_t{std::numeric_limits<long long>::max()})
    return large_integer(first, at);
  const auto value = static_cast<long long>(whole);
  return PyLong_FromLongLong(digits != first ? -value : value);
}

}  // namespace pyhost::detail
