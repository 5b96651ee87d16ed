// Converts floating-point numbers to text and back, always with a decimal point. printf, streams and
// std::stod use the locale of the process, which any module can change.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pyhost::detail {

/// Returns the number with this many digits after the point, as "%.3f" does in the locale "C".
std::string fixed_text(double number, int digits);

/// Returns the number with this many significant digits and no trailing zeros, as "%.3g" does in the locale
/// "C".
std::string general_text(double number, int digits);

/// Returns the number that the whole text represents, or nothing if the text is not a number.
std::optional<double> parse_number(std::string_view text);

}  // namespace pyhost::detail
