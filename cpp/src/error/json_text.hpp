// Json to text and back, compiled once: the templates behind it are large.
#pragma once

#include <string>
#include <string_view>

#include "pyhost/json_fwd.hpp"

namespace pyhost::detail {

/// Compact JSON text. Throws Json::type_error for a string that is not UTF-8.
std::string json_text(const Json& json);

/// Compact JSON text, with U+FFFD for what is not UTF-8.
std::string json_text_with_replacements(const Json& json);

/// The value of a JSON text. Throws Json::parse_error, and Json::out_of_range for a number beyond a double.
Json parse_json(std::string_view text);

}  // namespace pyhost::detail
