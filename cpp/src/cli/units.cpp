// Parses durations and sizes, and formats times.
#include "cli/units.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <ctime>
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

std::string grouped(std::size_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

std::string counted(std::size_t count, const std::string& what) {
  return grouped(count) + " " + what + (count == 1 ? "" : "s");
}

std::string clock_text(double seconds) {
  const auto all = static_cast<long>(std::lround(seconds));
  std::array<char, 32> text{};
  if (all >= 3600) {
    std::snprintf(text.data(), text.size(), "%ld:%02ld:%02ld", all / 3600, all / 60 % 60, all % 60);
  } else {
    std::snprintf(text.data(), text.size(), "%ld:%02ld", all / 60, all % 60);
  }
  return text.data();
}

namespace {

std::string formatted(std::chrono::sys_seconds time, const char* format) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), format, &parts);
  return text.data();
}

}  // namespace

std::string utc_text(std::chrono::system_clock::time_point time) {
  return formatted(std::chrono::floor<std::chrono::seconds>(time), "%Y-%m-%d %H:%M:%S UTC");
}

std::string iso_text(std::chrono::system_clock::time_point time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto rest = std::chrono::duration_cast<std::chrono::microseconds>(time - seconds).count();
  std::array<char, 16> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%06dZ", static_cast<int>(rest));
  return formatted(seconds, "%Y-%m-%dT%H:%M:%S") + fraction.data();
}

}  // namespace pyhost::cli
