// The value type of states and results as a declaration, for headers that only name it.
#pragma once

#include <concepts>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace pyhost {

/// A JSON value. Its objects are sorted by key; JSON text keeps the order in which Python has it.
using Json = nlohmann::json;

/// What is read as JSON text. A state is always an object, so a string given as state is its text.
template <class T>
concept JsonText = !std::same_as<T, Json> && std::convertible_to<const T&, std::string_view>;

}  // namespace pyhost
