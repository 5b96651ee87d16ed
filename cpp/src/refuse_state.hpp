// How the ways from JSON to Python refuse a state.
#pragma once

#include <string>
#include <string_view>

#include "enter.hpp"
#include "json_place.hpp"
#include "pyhost/error.hpp"
#include "python.hpp"

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
  return own(object);
}

inline void check_depth(const JsonPlace& place) {
  if (place.depth >= max_depth) {
    refuse_state(place, "is nested more than " + std::to_string(max_depth) + " levels deep");
  }
}

}  // namespace pyhost::detail
