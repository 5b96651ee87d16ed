// Writes and reads floating-point numbers.
#include "error/number_text.hpp"

#include <array>
#include <charconv>
#include <system_error>

namespace pyhost::detail {

namespace {

std::string number_text(double number, std::chars_format format, int digits) {
  std::array<char, 400> text{};  // enough for any double: up to 309 digits before the point
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number, format, digits).ptr;
  return {text.data(), end};
}

}  // namespace

std::string fixed_text(double number, int digits) {
  return number_text(number, std::chars_format::fixed, digits);
}

std::string general_text(double number, int digits) {
  return number_text(number, std::chars_format::general, digits);
}

std::optional<double> parse_number(std::string_view text) {
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [read, failed] = std::from_chars(text.data(), end, number);
  if (failed != std::errc() || read != end) return std::nullopt;
  return number;
}

}  // namespace pyhost::detail
