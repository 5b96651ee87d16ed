// Reads durations and sizes.
#include "cli/units.hpp"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <system_error>

#include "error/number_text.hpp"

namespace pyhost::cli {

std::optional<std::chrono::milliseconds> parse_duration(const std::string& text) {
  const std::size_t end = text.find_last_of("0123456789.");
  const std::string unit = end == std::string::npos ? text : text.substr(end + 1);
  const double factor = unit == "ms"                  ? 1
                        : unit == "s" || unit.empty() ? 1000
                        : unit == "m"                 ? 60'000
                        : unit == "h"                 ? 3'600'000
                                                      : 0;
  const std::optional<double> number =
      detail::parse_number(std::string_view(text).substr(0, text.size() - unit.size()));
  constexpr double longest = 1e12;  // 30 years
  if (factor == 0 || !number || !(*number >= 0 && *number * factor <= longest)) return std::nullopt;
  return std::chrono::milliseconds(std::llround(*number * factor));
}

std::optional<std::size_t> parse_size(const std::string& text) {
  std::size_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string unit(end, text.data() + text.size());
  const int shift = unit.empty() ? 0 : unit == "K" ? 10 : unit == "M" ? 20 : unit == "G" ? 30 : -1;
  if (failed != std::errc() || shift < 0 || number == 0 || number > (SIZE_MAX >> shift)) return std::nullopt;
  return number << shift;
}

}  // namespace pyhost::cli
