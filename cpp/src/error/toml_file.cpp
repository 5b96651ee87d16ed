// Reads TOML with toml++.
#include "error/toml_file.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <sstream>
#include <system_error>

namespace pyhost::detail {

namespace {

int line_of(const toml::source_region& source) { return static_cast<int>(source.begin.line); }

template <class Value>
Json scalar_of(const Value& value) {
  if constexpr (toml::is_date<Value> || toml::is_time<Value> || toml::is_date_time<Value>) {
    std::ostringstream text;
    text << value.get();
    return text.str();
  } else if constexpr (toml::is_floating_point<Value>) {
    return std::isfinite(value.get()) ? Json(value.get()) : Json(nullptr);
  } else {
    return value.get();
  }
}

TomlValue value_of(const toml::node& node);

// toml++ sorts the members by name. This restores the order of the file.
TomlValue table_of(const toml::table& table) {
  TomlValue all{.line = line_of(table.source())};
  std::vector<std::pair<std::string_view, const toml::node*>> nodes;
  for (const auto& [key, node] : table) nodes.emplace_back(key.str(), &node);
  std::ranges::stable_sort(nodes, {}, [](const auto& each) {
    const toml::source_position begin = each.second->source().begin;
    return std::pair(begin.line, begin.column);
  });
  for (const auto& [key, node] : nodes) all.members.emplace_back(key, value_of(*node));
  return all;
}

TomlValue value_of(const toml::node& node) {
  if (const auto* table = node.as_table()) return table_of(*table);
  TomlValue value{.kind = TomlValue::Kind::Scalar, .line = line_of(node.source())};
  if (const auto* array = node.as_array()) {
    value.kind = TomlValue::Kind::Array;
    for (const toml::node& each : *array) value.elements.push_back(value_of(each));
    return value;
  }
  node.visit([&value](const auto& of) {
    using Node = std::remove_cvref_t<decltype(of)>;
    if constexpr (toml::is_value<Node>) value.scalar = scalar_of(of);
  });
  if (node.is_date() || node.is_time() || node.is_date_time() || value.scalar.is_null())
    value.kind = TomlValue::Kind::Other;
  return value;
}

}  // namespace

const TomlValue* TomlValue::find(std::string_view name) const noexcept {
  const auto found = std::ranges::find(members, name, &std::pair<std::string, TomlValue>::first);
  return found != members.end() ? &found->second : nullptr;
}

const std::string* TomlValue::string() const noexcept {
  return kind == Kind::Scalar ? scalar.get_ptr<const std::string*>() : nullptr;
}

TomlValue read_toml_file(const std::filesystem::path& file) {
  errno = 0;
  std::error_code unknown;
  const bool is_folder = std::filesystem::is_directory(file, unknown);
  std::ifstream stream(file);
  std::ostringstream text;
  if (is_folder || !stream || (stream.peek() != EOF && !(text << stream.rdbuf())))
    throw TomlError(file.string() +
                    ": cannot be read: " + std::generic_category().message(is_folder ? EISDIR : errno));
  try {
    return table_of(toml::parse(text.str(), file.string()));
  } catch (const toml::parse_error& wrong) {
    throw TomlError(file.string() + ":" + std::to_string(line_of(wrong.source())) + ": " +
                    std::string(wrong.description()));
  }
}

Json json_of(const TomlValue& value) {
  if (value.kind == TomlValue::Kind::Other) throw NotJson{value.line};
  if (value.is_table()) {
    Json object = Json::object();
    for (const auto& [key, member] : value.members) object[key] = json_of(member);
    return object;
  }
  if (value.is_array()) {
    Json elements = Json::array();
    for (const TomlValue& each : value.elements) elements.push_back(json_of(each));
    return elements;
  }
  return value.scalar;
}

}  // namespace pyhost::detail
