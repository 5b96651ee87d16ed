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

/// A class that nlohmann_json can convert to JSON, for example through NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE.
template <class T>
concept ToJson =
    std::is_class_v<T> && !std::same_as<T, Json> && !std::same_as<T, State> &&
    !std::same_as<T, nlohmann::ordered_json> && !JsonText<T> && std::is_constructible_v<Json, const T&>;

/// The JSON object that `create(state)` receives as a dict, with optional buffers. It is a parameter type, to
/// which Json, JSON text, initializer lists and your own types are converted implicitly.
///
/// Ownership: a State refers to the Json or the text from which it was made. They must outlive it, so do not
/// keep a State that was made from temporary text. It owns a temporary Json, and JSON that was made from an
/// initializer list or from your own type. It shares its buffers.
/// Thread: any. No locking.
class State {
 public:
  /// Creates the empty object, `{}`.
  State() = default;

  /// Creates a state from a JSON object. null is treated as `{}`, because nlohmann_json reads empty braces as
  /// null.
  State(const Json& json) noexcept : json_(&json) {}
  State(Json&& json) : owned_(std::move(json)) {}
  State(std::nullptr_t) = delete;

  /// Creates a state from an initializer list, as in `{{"name", "Ada"}, {"n", 3}}`. Braces around a single
  /// value, as in `{json}`, make an array.
  State(Json::initializer_list_t pairs) : owned_(std::in_place, pairs) {}

  /// Creates a state from JSON text. Integers of any size are exact, and keys keep their order. Every type
  /// that is convertible to std::string_view is parsed as text.
  template <JsonText T>
  State(const T& text) : text_(std::string_view(text)) {}

  /// Creates a state from a value that nlohmann_json can convert to a JSON object.
  /// Throws: exceptions of its `to_json`.
  template <ToJson T>
  State(const T& value) : owned_(std::in_place, value) {}

  /// Adds a buffer under a key that the object does not contain. The module reads it with `memoryview(…)` or
  /// `numpy.asarray(…)`, without a copy.
  State& with(std::string key, Buffer buffer) & {
    buffers_.emplace_back(std::move(key), std::move(buffer));
    return *this;
  }
  State with(std::string key, Buffer buffer) && { return std::move(with(std::move(key), std::move(buffer))); }

  /// Returns the text from which it was made, or null if it was not made from text.
  const std::string_view* text() const noexcept { return text_ ? &*text_ : nullptr; }

  /// Returns the Json to which it refers or that it owns, or null if it is text or empty.
  const Json* json() const noexcept { return owned_ ? &*owned_ : json_; }

  /// Returns the buffers, with their keys.
  const Buffers& buffers() const noexcept { return buffers_; }

 private:
  std::optional<std::string_view> text_;
  const Json* json_ = nullptr;
  std::optional<Json> owned_;
  Buffers buffers_;
};

}  // namespace pyhost
