// Converts Json to text and back. Compiled once, because these templates of nlohmann_json are large.
#pragma once

#include <string>
#include <string_view>

#include "pyhost/json_fwd.hpp"

namespace pyhost::detail {

/// Returns compact JSON text.
/// Throws: Json::type_error for a string that is not UTF-8.
std::string json_text(const Json& json);

/// Returns JSON text on one line, or with `indent` spaces per level. Invalid UTF-8 becomes U+FFFD.
std::string json_text_with_replacements(const Json& json, int indent = -1);

/// Returns the value of a JSON text.
/// Throws: Json::parse_error, and Json::out_of_range for a number beyond the range of a double.
Json parse_json(std::string_view text);

}  // namespace pyhost::detail
