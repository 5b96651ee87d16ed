// Reads what toml++ has parsed, key by key; a key that is not known is refused, with the nearest one that is.
#include "configuration.hpp"

#include <toml++/toml.h>
#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string_view>

#include "command.hpp"
#include "pyhost/json.hpp"

namespace pyhost::cli {

namespace {

namespace fs = std::filesystem;

// How many characters have to be changed, put in or taken out (Levenshtein).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

class Reading {
 public:
  explicit Reading(fs::path file) { read_.file = std::move(file); }

  Configuration of(const toml::table& table) {
    each(table, "",
         {{"module_paths", [&](const auto& node) { read_.module_paths = paths(node); }},
          {"venv", [&](const auto& node) { read_.venv = path(node); }},
          {"store", [&](const auto& node) { read_.store = path(node); }},
          {"log", [&](const auto& node) { read_log(table_of(node)); }},
          {"connections", [&](const auto& node) { read_connections(table_of(node)); }},
          {"modules", [&](const auto& node) { read_modules(table_of(node)); }}});
    return std::move(read_);
  }

 private:
  using Keys = std::map<std::string_view, std::function<void(const toml::node&)>>;

  [[noreturn]] void refuse(const toml::node& at, const std::string& what) const {
    throw Usage(read_.file.string() + ":" + std::to_string(at.source().begin.line) + ": " + what);
  }

  void each(const toml::table& table, const std::string& of, const Keys& keys) const {
    for (const auto& [key, node] : table) {
      const auto known = keys.find(key.str());
      if (known != keys.end()) {
        known->second(node);
        continue;
      }
      const auto farther = [&](const auto& a, const auto& b) {
        return distance(key.str(), a.first) < distance(key.str(), b.first);
      };
      const auto nearest = std::min_element(keys.begin(), keys.end(), farther);
      refuse(node, "there is no key '" + of + std::string(key.str()) + "'; did you mean '" + of +
                       std::string(nearest->first) + "'?");
    }
  }

  const toml::table& table_of(const toml::node& node) const {
    if (!node.is_table()) refuse(node, "this is to be a table");
    return *node.as_table();
  }

  std::string text(const toml::node& node) const {
    if (!node.is_string()) refuse(node, "this is to be a string");
    return node.as_string()->get();
  }

  std::string one_of(const toml::node& node, const std::vector<std::string>& words) const {
    std::string word = text(node);
    if (std::ranges::find(words, word) != words.end()) return word;
    std::string all;
    for (const std::string& each : words) all += (all.empty() ? "" : ", ") + each;
    refuse(node, "'" + word + "' is none of " + all);
  }

  std::string path(const toml::node& node) const {
    return (read_.file.parent_path() / text(node)).lexically_normal().string();
  }

  std::vector<std::string> paths(const toml::node& node) const {
    if (!node.is_array()) refuse(node, "this is to be an array of strings");
    std::vector<std::string> all;
    for (const toml::node& each : *node.as_array()) all.push_back(path(each));
    return all;
  }

  void read_log(const toml::table& table) {
    each(table, "log.",
         {{"level",
           [&](const auto& node) {
             read_.log_level = one_of(node, {"debug", "info", "warning", "error", "critical", "off"});
           }},
          {"format", [&](const auto& node) { read_.log_format = one_of(node, {"text", "json"}); }}});
  }

  void read_connections(const toml::table& table) {
    constexpr std::string_view relative_file = "sqlite:///";
    for (const auto& [key, node] : table) {
      std::string url = text(node);
      if (url.starts_with(relative_file) && !url.ends_with(":memory:")) {
        const fs::path file = url.substr(relative_file.size());
        url = std::string(relative_file) + (read_.file.parent_path() / file).lexically_normal().string();
      }
      read_.connections.emplace(key.str(), std::move(url));
    }
  }

  void read_modules(const toml::table& table) {
    for (const auto& [name, node] : table) {
      Configuration::Module& module = read_.modules[std::string(name.str())];
      each(table_of(node), "modules." + std::string(name.str()) + ".",
           {{"state", [&](const auto& state) { module.state = json(table_of(state)).dump(); }},
            {"timeout", [&](const auto& timeout) { module.timeout = text(timeout); }}});
    }
  }

  Json json(const toml::node& node) const {
    if (const auto* table = node.as_table()) {
      Json object = Json::object();
      for (const auto& [key, value] : *table) object[std::string(key.str())] = json(value);
      return object;
    }
    if (const auto* array = node.as_array()) {
      Json elements = Json::array();
      for (const toml::node& each : *array) elements.push_back(json(each));
      return elements;
    }
    if (const auto* string = node.as_string()) return string->get();
    if (const auto* integer = node.as_integer()) return integer->get();
    if (const auto* boolean = node.as_boolean()) return boolean->get();
    if (const auto* number = node.as_floating_point(); number != nullptr && std::isfinite(number->get()))
      return number->get();
    refuse(node, "JSON has no such value; a date or time can be a string");
  }

  Configuration read_;
};

Configuration read_nearest() {
  std::error_code failed;
  for (fs::path folder = fs::current_path(failed); !folder.empty(); folder = folder.parent_path()) {
    for (const char* name : {"pyhost.toml", "pyproject.toml"}) {
      const fs::path file = folder / name;
      if (!fs::is_regular_file(file, failed)) continue;
      try {
        const toml::table table = toml::parse_file(file.string());
        if (name == std::string_view("pyhost.toml")) return Reading(file).of(table);
        if (const toml::table* ours = table["tool"]["pyhost"].as_table()) return Reading(file).of(*ours);
      } catch (const toml::parse_error& wrong) {
        if (name == std::string_view("pyproject.toml")) continue;  // is for others to complain of
        throw Usage(file.string() + ":" + std::to_string(wrong.source().begin.line) + ": " +
                    std::string(wrong.description()));
      }
    }
    if (folder == folder.root_path()) break;
  }
  return {};
}

}  // namespace

const Configuration::Module& Configuration::of(const std::string& module) const {
  static const Module none;
  const auto found = modules.find(module);
  return found != modules.end() ? found->second : none;
}

const Configuration& configuration() {
  static const Configuration read = read_nearest();
  return read;
}

}  // namespace pyhost::cli
