// Reads the project file. Refuses unknown keys, with the nearest known key as a hint.
#include "cli/configuration.hpp"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "cli/arguments.hpp"
#include "cli/errors.hpp"
#include "cli/units.hpp"
#include "error/json_text.hpp"
#include "error/module_name.hpp"
#include "error/toml_file.hpp"
#include "pyhost/json.hpp"

namespace pyhost::cli {

namespace {

namespace fs = std::filesystem;
using detail::TomlValue;

constexpr std::string_view modules = "modules.";

// Replaces the variables in the path, as Python does before it opens the path. An unset variable becomes an
// empty text here; Python refuses to open such a path.
std::string with_variables(std::string path) {
  for (std::size_t at = 0; (at = path.find("${", at)) != std::string::npos;) {
    if (at > 0 && path[at - 1] == '$') {  // $${ stands for ${ and is not a variable
      path.erase(at - 1, 1), ++at;
      continue;
    }
    const std::size_t end = path.find('}', at);
    if (end == std::string::npos) break;
    const char* const value = std::getenv(path.substr(at + 2, end - at - 2).c_str());
    const std::string_view put = value != nullptr ? value : "";
    path.replace(at, end + 1 - at, put);
    at += put.size();
  }
  return path;
}

// Escapes the path, so that with_variables() returns it unchanged.
std::string without_variables(std::string path) {
  for (std::size_t at = 0; (at = path.find("${", at)) != std::string::npos; at += 3) path.insert(at, 1, '$');
  return path;
}

class ConfigurationReader {
 public:
  explicit ConfigurationReader(fs::path file) { read_.file = std::move(file); }

  Configuration read(const TomlValue& table) {
    each(table, "",
         {{"module_paths", [&](const Entry& entry) { read_.module_paths = paths(entry); }},
          {"venv", [&](const Entry& entry) { read_.venv = path(entry); }},
          {"store", [&](const Entry& entry) { read_.store = path(entry); }},
          {"log", [&](const Entry& entry) { read_log(table_of(entry)); }},
          {"connections", [&](const Entry& entry) { read_connections(table_of(entry)); }},
          {"modules", [&](const Entry& entry) { read_modules(table_of(entry)); }},
          {"schedule", [&](const Entry& entry) { table_of(entry), read_.has_schedule = true; }}});
    return std::move(read_);
  }

  // Returns [tool.pyhost], or null if there is none.
  const TomlValue* in_pyproject(const TomlValue& table) const {
    const TomlValue* const tool = table.find("tool");
    const TomlValue* const ours = tool != nullptr ? tool->find("pyhost") : nullptr;
    return ours != nullptr ? &table_of({"tool.pyhost", *ours}) : nullptr;
  }

 private:
  struct Entry {
    std::string key;
    const TomlValue& node;
  };
  using Keys = std::map<std::string_view, std::function<void(const Entry&)>>;

  [[noreturn]] void refuse(int line, const std::string& what) const {
    throw ConfigurationError(read_.file.string() + ":" + std::to_string(line) + ": " + what);
  }

  [[noreturn]] void refuse(const Entry& entry, const std::string& what) const {
    refuse(entry.node.line, "'" + entry.key + "' must be " + what);
  }

  void each(const TomlValue& table, const std::string& of, const Keys& keys) const {
    for (const auto& [name, node] : table.members) {
      const auto known = keys.find(name);
      if (known != keys.end()) {
        known->second({of + name, node});
        continue;
      }
      std::vector<std::string> all;
      for (const auto& key : keys) all.emplace_back(key.first);
      std::string hint = detail::did_you_mean(name, all, of);
      if (hint.empty() && of.starts_with(modules) && node.is_table())
        hint = "a module in a package is written [modules.\"" + of.substr(modules.size()) + name + "\"]";
      refuse(node.line, "there is no key '" + of + name + "'" + (hint.empty() ? "" : "; " + hint));
    }
  }

  const TomlValue& table_of(const Entry& entry) const {
    if (!entry.node.is_table()) refuse(entry, "a table");
    return entry.node;
  }

  std::string text(const Entry& entry) const {
    if (entry.node.string() == nullptr) refuse(entry, "a string");
    return *entry.node.string();
  }

  std::string one_of(const Entry& entry, std::span<const char* const> words) const {
    std::string word = text(entry);
    if (std::ranges::find(words, std::string_view(word)) != words.end()) return word;
    std::string all;
    for (const char* each : words) all.append(all.empty() ? "" : ", ").append(each);
    refuse(entry.node.line, "'" + entry.key + "' must be one of " + all + ", not '" + word + "'");
  }

  std::string path(const Entry& entry) const {
    const std::string written = text(entry);
    if (written.empty()) refuse(entry, "a path, but is empty");
    return (read_.file.parent_path() / written).lexically_normal().string();
  }

  std::vector<std::string> paths(const Entry& entry) const {
    if (!entry.node.is_array()) refuse(entry, "an array of strings");
    std::vector<std::string> all;
    for (const TomlValue& each : entry.node.elements) {
      if (each.string() == nullptr) refuse(Entry{entry.key, each}, "an array of strings");
      all.push_back(path({entry.key, each}));
    }
    return all;
  }

  void read_log(const TomlValue& table) {
    each(table, "log.",
         {{"level", [&](const Entry& entry) { read_.log_level = one_of(entry, log_levels); }},
          {"format", [&](const Entry& entry) { read_.log_format = one_of(entry, log_formats); }}});
  }

  void read_connections(const TomlValue& table) {
    for (const auto& [name, node] : table.members) {
      std::string url = text({"connections." + name, node});
      constexpr std::string_view before_file = ":///";
      const std::size_t scheme = url.find(before_file);
      if (url.starts_with("sqlite") && scheme != std::string::npos && scheme == url.find(':')) {
        const std::string file = url.substr(scheme + before_file.size());
        // The URL keeps its variables, because Python replaces them.
        const bool is_file = !file.empty() && !file.ends_with(":memory:");
        if (is_file && fs::path(with_variables(file)).is_relative()) {
          const fs::path folder = without_variables(read_.file.parent_path().string());
          url = url.substr(0, scheme + before_file.size()) + (folder / file).string();
        }
      }
      read_.connections.emplace(name, std::move(url));
    }
  }

  void read_modules(const TomlValue& table) {
    for (const auto& [name, node] : table.members) {
      Configuration::Module& module = read_.modules[name];
      const std::string key = std::string(modules) + name;
      each(table_of({key, node}), key + ".",
           {{"state", [&](const Entry& entry) { module.state = detail::json_text(json(table_of(entry))); }},
            {"timeout", [&](const Entry& entry) { module.timeout = time(entry); }}});
    }
  }

  // Returns the entry as a duration. A number without a unit is in seconds, as for --timeout.
  std::chrono::milliseconds time(const Entry& entry) const {
    const std::string given =
        entry.node.scalar.is_number() ? detail::json_text(entry.node.scalar) : text(entry);
    const std::optional<std::chrono::milliseconds> found = parse_duration(given);
    if (found) return *found;
    refuse(entry.node.line,
           "'" + entry.key + "' must be a time like 30s, 500ms, 2m or 1h, not '" + given + "'");
  }

  Json json(const TomlValue& value) const {
    try {
      return detail::json_of(value);
    } catch (const detail::NotJson& wrong) {
      refuse(wrong.line, "JSON has no such value; write a date or time as a string");
    }
  }

  Configuration read_;
};

Configuration read_nearest() {
  std::error_code failed;
  for (fs::path folder = fs::current_path(failed); !folder.empty(); folder = folder.parent_path()) {
    for (const char* name : {"pyhost.toml", "pyproject.toml"}) {
      const fs::path file = folder / name;
      if (fs::is_symlink(file, failed) && !fs::exists(file, failed))
        throw ConfigurationError(file.string() + ": this is a link to a file that does not exist");
      if (!fs::is_regular_file(file, failed)) continue;
      try {
        const TomlValue table = detail::read_toml_file(file);
        ConfigurationReader reader(file);
        if (name == std::string_view("pyhost.toml")) return reader.read(table);
        if (const TomlValue* ours = reader.in_pyproject(table)) return reader.read(*ours);
      } catch (const detail::TomlError& wrong) {
        throw ConfigurationError(wrong.what());
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
