// Seconds without trailing zeros.
#include "error/duration_text.hpp"

#include <array>
#include <cstdio>

namespace pyhost::detail {

std::string in_seconds(std::chrono::steady_clock::duration time) {
  const auto rounded = std::chrono::round<std::chrono::milliseconds>(time);
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.10g s", std::chrono::duration<double>(rounded).count());
  return text.data();
}

}  // namespace pyhost::detail
