// Json -> JSON text, as strict as the way from Json to Python.
#include <cmath>
#include <cstddef>

#include "convert/convert.hpp"
#include "convert/state_errors.hpp"
#include "error/json_text.hpp"
#include "pyhost/json.hpp"
#include "python/py_string.hpp"

namespace pyhost::detail {

namespace {

// nlohmann's dump() calls itself for each level, and its frames are larger than those here. In bytes.
#ifdef PYHOST_SANITIZED
constexpr std::size_t dump_frame = 4096;
#else
constexpr std::size_t dump_frame = 512;
#endif

void check(const Json& json, const JsonPlace& place);

void check_string(std::string_view utf8, const JsonPlace& place) {
  if (!is_plain_ascii(utf8) && !is_valid_utf8(utf8)) refuse_not_utf8(place);
}

void check_array(const Json::array_t& array, const JsonPlace& place) {
  check_depth(place, dump_frame);
  for (std::size_t i = 0; i < array.size(); ++i) check(array[i], place.in_array(i));
}

void check_object(const Json::object_t& object, const JsonPlace& place) {
  check_depth(place, dump_frame);
  for (const auto& [name, json] : object) {
    const JsonPlace below = place.in_object(name);
    check_string(name, below);
    check(json, below);
  }
}

void check(const Json& json, const JsonPlace& place) {
  switch (json.type()) {
    case Json::value_t::number_float:
      if (!std::isfinite(*json.get_ptr<const double*>())) refuse_not_finite(place);
      break;
    case Json::value_t::string:
      return check_string(*json.get_ptr<const std::string*>(), place);
    case Json::value_t::array:
      return check_array(*json.get_ptr<const Json::array_t*>(), place);
    case Json::value_t::object:
      return check_object(*json.get_ptr<const Json::object_t*>(), place);
    case Json::value_t::binary:
    case Json::value_t::discarded:
      refuse_binary(place);
    default:
      break;
  }
}

}  // namespace

std::string state_text(const Json& state) {
  if (state.is_null()) return "{}";
  must_be_object(state);
  check(state, {});
  return json_text(state);
}

}  // namespace pyhost::detail
