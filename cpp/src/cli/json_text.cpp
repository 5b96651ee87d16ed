// Converts values to JSON text.
#include "cli/json_text.hpp"

#include "error/json_text.hpp"
#include "error/number_text.hpp"

namespace pyhost::cli {

namespace {

std::string json_or_string(const std::string& text) {
  try {
    const Json readable = detail::parse_json(text);
    return text;
  } catch (const Json::out_of_range&) {
    return text;  // a number too large for Json, but valid in JSON text
  } catch (const Json::parse_error&) {
    return detail::json_text(Json(text));
  }
}

}  // namespace

std::string json_string(std::string_view text) { return detail::json_text_with_replacements(Json(text)); }

std::optional<std::string> json_member(const std::string& key, const std::string& value) {
  try {
    return detail::json_text(Json(key)) + ":" + json_or_string(value);
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

std::string error_json(const Error& error) { return detail::json_text_with_replacements(error.to_json()); }

std::string error_document(const Error& error) {
  return "{\"error\":" + error_json(error) + ",\"schema\":1}";
}

std::string run_document(const std::string& name, const std::string& key, const std::string& json,
                         double seconds) {
  return "{\"name\":" + json_string(name) + ",\"" + key + "\":" + json +
         ",\"seconds\":" + seconds_text(seconds) + "}";
}

std::string seconds_text(double seconds) { return detail::fixed_text(seconds, 6); }

}  // namespace pyhost::cli
