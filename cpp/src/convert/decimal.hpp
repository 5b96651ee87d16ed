// Conversion between numbers and decimal digits.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pyhost::detail {

/// The value is digits x 10^exponent. The digits may end in zeros.
struct Decimal {
  std::uint64_t digits = 0;
  std::int64_t exponent = 0;
};

/// Returns the shortest decimal that reads back as this number, and of several the closest one. The number
/// must be finite and above zero.
Decimal shortest_decimal(double number);

/// Returns the double that is closest to the decimal. Returns a negative number if two multiplications cannot
/// decide it, or if the result would be infinite or a subnormal number.
double closest_double(Decimal number);

/// The bytes that write_decimal() and write_integer() may overwrite.
inline constexpr std::size_t number_room = 48;

/// Writes the number as repr() does: the shortest form that reads back the same, always with a point or an
/// exponent. The number must be finite. Returns the end of the text, which is the same in every locale.
char* write_decimal(double number, char* out);

/// Writes the number, and returns the end of the text.
char* write_integer(std::int64_t number, char* out);

}  // namespace pyhost::detail
