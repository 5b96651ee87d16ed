// Json to text and back, compiled once: the templates behind it are large.
#pragma once

#include <string>
#include <string_view>

#include "pyhost/json_fwd.hpp"

namespace pyhost::detail {

/// Compact JSON text. Throws Json::type_error for a string that is not UTF-8.
std::string json_text(const Json& json);

/// JSON text on one line, or with `indent` spaces for each level. What is not UTF-8 becomes U+FFFD.
std::string json_text_with_replacements(const Json& json, int indent = -1);

/// The value of a JSON text. Throws Json::parse_error, and Json::out_of_range for a number beyond a double.
Json parse_json(std::string_view text);

}  // namespace pyhost::detail
