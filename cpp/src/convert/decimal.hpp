// Between binary and decimal: the shortest decimal number of a double, and the double of a decimal number.
#pragma once

#include <cstdint>

namespace pyhost::detail {

/// digits x 10^exponent; the digits may end in zeros.
struct Decimal {
  std::uint64_t digits = 0;
  std::int64_t exponent = 0;
};

/// Of a finite number above zero: of the shortest that read back the same, the one that is closest.
Decimal shortest_decimal(double number);

/// The double that is closest to a decimal number, if that can be told in two multiplications; else, as for
/// what is too large or so small that it has fewer bits, a number below zero.
double closest_double(Decimal number);

}  // namespace pyhost::detail
