// Errors for values that cannot be converted. Both directions use the same messages; those about Python
// objects are in to_json.cpp. pyhost.testing repeats them, and a test compares the two.
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

/// The kind, the phase and the subject of the errors in one direction.
struct Way {
  ErrorKind kind;
  Phase phase;
  std::string_view what;
};
inline constexpr Way state_way{ErrorKind::InvalidState, Phase::Create, "the state"};
inline constexpr Way result_way{ErrorKind::InvalidResult, Phase::Result, "the result"};

inline constexpr std::string_view not_finite = "is NaN or infinite, which JSON does not have";

[[noreturn]] inline void refuse_value(const Way& way, const JsonPlace& place, std::string_view problem,
                                      std::string hint = {}) {
  std::string at = pointer(place);
  std::string message = in_words(way.what, at) + " " + std::string(problem);
  throw Error({.kind = way.kind,
               .phase = way.phase,
               .message = std::move(message),
               .pointer = std::move(at),
               .hint = std::move(hint)});
}

[[noreturn]] inline void refuse_state(const JsonPlace& place, std::string_view problem,
                                      std::string hint = {}) {
  refuse_value(state_way, place, problem, std::move(hint));
}

[[noreturn]] inline void refuse_levels(const Way& way, const JsonPlace& place) {
  refuse_value(way, place, "is nested more than " + std::to_string(max_depth) + " levels deep");
}

inline void check_stack(const Way& way, const JsonPlace& place, std::size_t per_level = 0) {
  if (!lacks_stack(place.depth, per_level)) return;
  refuse_value(way, place, "is nested too deeply for the stack of this thread",
               "use a thread with a larger stack, or nest less deeply");
}

/// Throws for an object that CPython could not create: the limit of integer digits, or out of memory.
[[noreturn]] inline void refuse_with_python(const JsonPlace& place) {
  refuse_state(place, "cannot be converted to a Python object: " + one_line(take_exception()));
}

inline py::object checked(PyObject* object, const JsonPlace& place) {
  if (object == nullptr) refuse_with_python(place);
  return steal(object);
}

[[noreturn]] inline void refuse_not_finite(const JsonPlace& place) { refuse_state(place, not_finite); }

// The pointer in an error must be valid text, even if a key is not.
[[noreturn]] inline void refuse_not_utf8(const JsonPlace& place) {
  std::string at = terminal_safe(pointer(place));
  std::string message = in_words("the state", at) + " is not valid UTF-8";
  throw Error({.kind = ErrorKind::InvalidState,
               .phase = Phase::Create,
               .message = std::move(message),
               .pointer = std::move(at)});
}

[[noreturn]] inline void refuse_binary(const JsonPlace& place) {
  refuse_state(place, "contains binary or discarded data, which JSON does not have");
}

[[noreturn]] inline void refuse_non_object(std::string_view found, bool is_one_in_braces = false) {
  refuse_state({}, "is " + std::string(found) + ", not an object",
               is_one_in_braces ? "C++ braces around one value make an array: pass the value without them"
                                : R"(a state is an object, such as {"key": "value"})");
}

inline void must_be_object(const Json& state) {
  if (state.is_object()) return;
  refuse_non_object((state.is_array() ? "an " : "a ") + std::string(state.type_name()),
                    state.size() == 1 && state.is_array());
}

inline void check_depth(const JsonPlace& place, std::size_t stack_per_level = 0) {
  if (place.depth >= max_depth) refuse_levels(state_way, place);
  check_stack(state_way, place, stack_per_level);
}

}  // namespace pyhost::detail
