// Converts a state to JSON text, with the same checks as the conversion from Json to Python.
#include <cmath>
#include <cstddef>

#include "convert/convert.hpp"
#include "convert/refusals.hpp"
#include "error/json_text.hpp"
#include "pyhost/json.hpp"
#include "pyhost/state.hpp"
#include "python/py_string.hpp"

namespace pyhost::detail {

namespace {

// The stack that nlohmann's recursive dump() needs for each level, in bytes. Its frames are larger than ours.
#ifdef PYHOST_SANITIZED
constexpr std::size_t dump_frame = 4096;
#else
constexpr std::size_t dump_frame = 512;
#endif

void check(const Json& json, const JsonPlace& place);

void check_string(std::string_view utf8, const JsonPlace& place) {
  if (!is_plain_ascii(utf8) && !is_valid_utf8(utf8)) refuse_not_utf8(place);
}

[[noreturn]] void refuse_buffers() {
  refuse_state({}, "has buffers, which a pool does not pass on",
               "run the module on the host itself, or put a file's name into the state");
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

std::string state_text(const State& state) {
  if (!state.buffers().empty()) refuse_buffers();
  if (state.text() != nullptr) return std::string(*state.text());
  if (state.json() == nullptr || state.json()->is_null()) return "{}";
  must_be_object(*state.json());
  check(*state.json(), {});
  return json_text(*state.json());
}

}  // namespace pyhost::detail
