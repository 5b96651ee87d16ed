// The state that a module's create(state) receives.
#pragma once

#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "pyhost/buffer.hpp"
#include "pyhost/json.hpp"

namespace pyhost {

class State;

/// A class that nlohmann_json converts to JSON, for example by NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE.
template <class T>
concept ToJson =
    std::is_class_v<T> && !std::same_as<T, Json> && !std::same_as<T, State> &&
    !std::same_as<T, nlohmann::ordered_json> && !JsonText<T> && std::is_constructible_v<Json, const T&>;

/// The JSON object that `create(state)` receives as a dict, and buffers that are put into the dict. It is a
/// parameter type: pass a Json, JSON text, braces, or a value of your own type, and a State is made from it.
///
/// Ownership: refers to a Json or a text, which must outlive it; do not keep a State that was made from a
/// temporary text. Owns a temporary Json, and what it makes from braces or from a value of another type.
/// Shares its buffers.
/// Thread: any; no locking.
class State {
 public:
  /// The empty object, `{}`.
  State() = default;

  /// A JSON object. null counts as `{}`: nlohmann_json reads empty braces as null.
  State(const Json& json) noexcept : json_(&json) {}
  State(Json&& json) : owned_(std::move(json)) {}
  State(std::nullptr_t) = delete;

  /// The braces that make a Json: `{{"who", "Ada"}, {"n", 3}}`. Braces around one value, `{json}`, make an
  /// array.
  State(Json::initializer_list_t pairs) : owned_(std::in_place, pairs) {}

  /// JSON text. It is read exactly: integers of any size, keys in their order. Everything that is convertible
  /// to std::string_view is text, never a JSON string.
  template <JsonText T>
  State(const T& text) : text_(std::string_view(text)) {}

  /// A value that nlohmann_json converts to a JSON object.
  /// Throws: any exception of its `to_json`.
  template <ToJson T>
  State(const T& value) : owned_(std::in_place, value) {}

  /// Adds a buffer under a key that the object does not have yet. The module reads it by `memoryview(…)` or
  /// `numpy.asarray(…)`, without a copy.
  State& with(std::string key, Buffer buffer) & {
    buffers_.emplace_back(std::move(key), std::move(buffer));
    return *this;
  }
  State with(std::string key, Buffer buffer) && { return std::move(with(std::move(key), std::move(buffer))); }

  /// The text that it was made from; null if it was made from anything else.
  const std::string_view* text() const noexcept { return text_ ? &*text_ : nullptr; }

  /// The Json that it was made from, or that it owns; null if it is text or empty.
  const Json* json() const noexcept { return owned_ ? &*owned_ : json_; }

  const Buffers& buffers() const noexcept { return buffers_; }

 private:
  std::optional<std::string_view> text_;
  const Json* json_ = nullptr;
  std::optional<Json> owned_;
  Buffers buffers_;
};

}  // namespace pyhost
