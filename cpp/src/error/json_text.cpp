// Converts Json to text and back.
#include "error/json_text.hpp"

#include "pyhost/json.hpp"

namespace pyhost::detail {

std::string json_text(const Json& json) { return json.dump(); }

std::string json_text_with_replacements(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Json parse_json(std::string_view text) { return Json::parse(text); }

}  // namespace pyhost::detail
