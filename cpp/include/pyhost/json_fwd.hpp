// The type of JSON values as a forward declaration.
#pragma once

#include <concepts>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace pyhost {

/// The type of JSON values: states, results, arguments of services. Its objects are sorted by key. To keep
/// Python's order of keys, use JSON text.
using Json = nlohmann::json;

/// A string type. A string that is passed as a State is parsed as JSON text.
template <class T>
concept JsonText = !std::same_as<T, Json> && std::convertible_to<const T&, std::string_view>;

}  // namespace pyhost
