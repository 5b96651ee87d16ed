// Values of a TOML file as JSON. Only what reads such a file includes it, because toml++ takes long to
// compile.
#pragma once

#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "pyhost/json.hpp"

namespace pyhost::detail {

/// A value that JSON does not have: a date, a time, an infinity or NaN.
struct NotJson {
  const toml::node& node;
};

/// Returns the entries of a table in the order of the file. toml++ has them sorted by name.
inline std::vector<std::pair<std::string, const toml::node*>> in_order(const toml::table& table) {
  std::vector<std::pair<std::string, const toml::node*>> all;
  for (const auto& [key, node] : table) all.emplace_back(key.str(), &node);
  const auto place = [](const auto& entry) {
    const toml::source_position begin = entry.second->source().begin;
    return std::pair(begin.line, begin.column);
  };
  std::ranges::stable_sort(all, {}, place);
  return all;
}

/// Throws: NotJson.
inline Json json_of(const toml::node& node) {
  if (const auto* table = node.as_table()) {
    Json object = Json::object();
    for (const auto& [key, value] : *table) object[std::string(key.str())] = json_of(value);
    return object;
  }
  if (const auto* array = node.as_array()) {
    Json elements = Json::array();
    for (const toml::node& each : *array) elements.push_back(json_of(each));
    return elements;
  }
  if (const auto* string = node.as_string()) return string->get();
  if (const auto* integer = node.as_integer()) return integer->get();
  if (const auto* boolean = node.as_boolean()) return boolean->get();
  if (const auto* number = node.as_floating_point(); number != nullptr && std::isfinite(number->get()))
    return number->get();
  throw NotJson{node};
}

}  // namespace pyhost::detail
