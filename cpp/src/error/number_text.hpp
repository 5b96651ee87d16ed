// Floating-point numbers as text with a decimal point, whatever the locale of the process is. printf, streams
// and std::stod use the locale, which any module can change.
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

/// Returns the number that the whole text is; nothing if it is none.
std::optional<double> parse_number(std::string_view text);

}  // namespace pyhost::detail
