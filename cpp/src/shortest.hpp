// The shortest decimal number that reads back as the same double.
#pragma once

#include <cstdint>

namespace pyhost::detail {

/// digits x 10^exponent; the digits may end in zeros.
struct Decimal {
  std::uint64_t digits = 0;
  int exponent = 0;
};

/// Of a finite number above zero: of the shortest that read back the same, the one that is closest.
Decimal shortest_decimal(double number);

}  // namespace pyhost::detail
