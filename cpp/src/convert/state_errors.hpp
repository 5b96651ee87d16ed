// How the ways from JSON to Python refuse a state.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "convert/convert.hpp"
#include "convert/depth.hpp"
#include "error/json_place.hpp"
#include "error/utf8.hpp"
#include "pyhost/error.hpp"
#include "pyhost/json.hpp"
#include "python/gil.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

[[noreturn]] inline void refuse_state(const JsonPlace& place, std::string_view problem,
                                      std::string hint = {}) {
  std::string at = pointer(place);
  std::string message = in_words("the state", at) + " " + std::string(problem);
  throw Error({.kind = ErrorKind::InvalidState,
               .phase = Phase::Create,
               .message = std::move(message),
               .pointer = std::move(at),
               .hint = std::move(hint)});
}

/// What CPython itself refuses while we build: the integer limit, or memory that ran out.
[[noreturn]] inline void refuse_with_python(const JsonPlace& place) {
  refuse_state(place, "cannot be made into a Python object: " + one_line(take_exception()));
}

inline py::object checked(PyObject* object, const JsonPlace& place) {
  if (object == nullptr) refuse_with_python(place);
  return steal(object);
}

[[noreturn]] inline void refuse_not_finite(const JsonPlace& place) {
  refuse_state(place, "is NaN or infinite, which JSON does not have");
}

// A pointer is text, also where the key in it is none.
[[noreturn]] inline void refuse_not_utf8(const JsonPlace& place) {
  std::string at = terminal_safe(pointer(place));
  std::string message = in_words("the state", at) + " is not valid UTF-8";
  throw Error({.kind = ErrorKind::InvalidState,
               .phase = Phase::Create,
               .message = std::move(message),
               .pointer = std::move(at)});
}

[[noreturn]] inline void refuse_binary(const JsonPlace& place) {
  refuse_state(place, "holds binary or discarded data, which JSON does not have");
}

[[noreturn]] inline void refuse_non_object(std::string_view found) {
  refuse_state({}, "is " + std::string(found) + ", not an object",
               R"(a state is an object, such as {"key": "value"})");
}

inline void must_be_object(const Json& state) {
  if (state.is_object()) return;
  refuse_non_object((state.is_array() ? "an " : "a ") + std::string(state.type_name()));
}

inline void check_depth(const JsonPlace& place, std::size_t stack_per_level = 0) {
  if (place.depth >= max_depth) {
    refuse_state(place, "is nested more than " + std::to_string(max_depth) + " levels deep");
  }
  if (lacks_stack(place.depth, stack_per_level)) refuse_state(place, too_deep_for_stack, larger_stack);
}

}  // namespace pyhost::detail
