// Conversion between double and decimal.
#pragma once

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

}  // namespace pyhost::detail
