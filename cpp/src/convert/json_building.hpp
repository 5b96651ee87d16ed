// Helpers for code that builds Json values. Nothing of a null needs to be destroyed, so these functions take
// much less time than an assignment.
#pragma once

#include <memory>
#include <utility>

#include "pyhost/json.hpp"

namespace pyhost::detail {

/// A Json that must be moved from, because it is not destroyed.
union MovedJson {
  template <class... Arguments>
  explicit MovedJson(Arguments... arguments) : json(arguments...) {}
  ~MovedJson() {}
  MovedJson(const MovedJson&) = delete;
  MovedJson& operator=(const MovedJson&) = delete;

  Json json;
};

/// Replaces a null by a value with these arguments of the constructor. It stays a null if memory runs out.
template <class... Arguments>
void put_new(Json& null, Arguments... arguments) {
  MovedJson made(arguments...);
  std::construct_at(&null, std::move(made.json));
}

/// Replaces a null by a boolean or a number.
template <class Value>
void put_scalar(Json& null, Json::value_t type, Value value) {
  *std::construct_at(&null, type)->template get_ptr<Value*>() = value;
}

}  // namespace pyhost::detail
