// Writes durations.
#include "error/duration_text.hpp"

#include "error/number_text.hpp"

namespace pyhost::detail {

std::string in_seconds(std::chrono::steady_clock::duration time) {
  const auto rounded = std::chrono::round<std::chrono::milliseconds>(time);
  return general_text(std::chrono::duration<double>(rounded).count(), 10) + " s";
}

}  // namespace pyhost::detail
