// Reads the schedule of a TOML file.
#include "schedule/entries_file.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <string_view>
#include <system_error>
#include <utility>

#include "error/module_name.hpp"
#include "error/toml_json.hpp"

namespace pyhost::detail {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse_file(const std::string& place, const std::string& what, std::string hint = {}) {
  throw Error({.kind = ErrorKind::InvalidSchedule,
               .phase = Phase::Start,
               .message = place + ": " + what,
               .hint = std::move(hint)});
}

toml::table parse_toml_file(const fs::path& file) {
  errno = 0;
  std::ifstream stream(file);
  std::ostringstream text;
  if (!fs::is_regular_file(file) || !stream || !(text << stream.rdbuf())) {
    const int reason = fs::is_directory(file) ? EISDIR : errno != 0 ? errno : ENOENT;
    refuse_file(file.string(), "it cannot be read: " + std::generic_category().message(reason));
  }
  try {
    return toml::parse(text.str(), file.string());
  } catch (const toml::parse_error& wrong) {
    refuse_file(file.string() + ":" + std::to_string(wrong.source().begin.line),
                std::string(wrong.description()));
  }
}

class ScheduleFileReader {
 public:
  explicit ScheduleFileReader(fs::path file) : file_(std::move(file)) {}

  ScheduleFile read() {
    const toml::table table = parse_toml_file(file_);
    read_.files.push_back(file_);
    const bool is_project = file_.filename() == "pyproject.toml";
    const auto node = is_project ? table["tool"]["pyhost"]["schedule"] : table["schedule"];
    const std::string name = is_project ? "[tool.pyhost.schedule]" : "[schedule]";
    if (!node)
      refuse_file(file_.string(), "it has no table " + name,
                  "an entry of a schedule is written [[schedule.entry]], with name, module and cron");
    if (!node.is_table()) refuse(*node.node(), "'schedule' must be a table");
    read_schedule(*node.as_table());
    return std::move(read_);
  }

 private:
  using Keys = std::map<std::string_view, std::function<void(const toml::node&)>>;

  std::string place(const toml::node& at) const {
    return file_.string() + ":" + std::to_string(at.source().begin.line);
  }

  [[noreturn]] void refuse(const toml::node& at, const std::string& what, std::string hint = {}) const {
    refuse_file(place(at), what, std::move(hint));
  }

  void read_schedule(const toml::table& table) {
    const Keys keys{
        {"from", [this](const toml::node& node) { read_from(node); }},
        {"history", [this](const toml::node& node) { read_.history = history(text(node, "history")); }},
        {"keep_days", [this](const toml::node& node) { read_.keep_days = count(node, "keep_days"); }},
        {"keep_runs", [this](const toml::node& node) { read_.keep_runs = count(node, "keep_runs"); }},
        {"workers", [this](const toml::node& node) { read_.workers = count(node, "workers"); }},
        {"entry", [this](const toml::node& node) { read_entries(node); }}};
    for (const auto& [name, node] : in_order(table)) {
      const auto known = keys.find(name);
      if (known == keys.end()) refuse_key(name, *node, keys);
      known->second(*node);
    }
    if (read_.history.empty() && read_.connection.empty())
      read_.history = (file_.parent_path() / "schedule.db").string();
  }

  [[noreturn]] void refuse_key(const std::string& name, const toml::node& node, const Keys& keys) const {
    std::vector<std::string> names;
    for (const auto& key : keys) names.emplace_back(key.first);
    refuse(node, "there is no key 'schedule." + name + "'", did_you_mean(name, names, "schedule."));
  }

  std::string text(const toml::node& node, const std::string& key) const {
    const auto* string = node.as_string();
    if (string == nullptr || string->get().empty()) refuse(node, "'schedule." + key + "' must be a string");
    return string->get();
  }

  std::size_t count(const toml::node& node, const std::string& key) const {
    const auto* integer = node.as_integer();
    if (integer == nullptr || integer->get() < 1)
      refuse(node, "'schedule." + key + "' must be an integer of 1 or more");
    return static_cast<std::size_t>(integer->get());
  }

  std::string history(const std::string& given) const {
    if (given.starts_with(connection_prefix)) return given;
    return (file_.parent_path() / given).lexically_normal().string();
  }

  void read_from(const toml::node& node) {
    const std::string from = text(node, "from");
    if (from == "file") return;
    if (from.starts_with(connection_prefix)) {
      read_.connection = from.substr(connection_prefix.size());
      return;
    }
    const fs::path named = (file_.parent_path() / from).lexically_normal();
    const toml::table table = parse_toml_file(named);
    read_.files.push_back(named);
    file_.swap(other_ = named);
    if (const toml::node* entries = table["schedule"]["entry"].node()) read_entries(*entries);
    file_.swap(other_);
  }

  void read_entries(const toml::node& node) {
    const auto* array = node.as_array();
    if (array == nullptr) refuse(node, "'schedule.entry' must be an array", "write it [[schedule.entry]]");
    for (const toml::node& each : *array) {
      const std::string where = place(each);
      try {
        if (!each.is_table())
          refuse(each, "'schedule.entry' must hold tables", "write it [[schedule.entry]]");
        read_.entries.push_back(entry_of(*each.as_table()));
        read_.entries.back()["place"] = where;
      } catch (const NotJson& wrong) {
        add_problem(each, wrong.node);
      }
    }
  }

  // An unquoted date and time is the text of one.
  static Json entry_of(const toml::table& table) {
    Json entry = Json::object();
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      if (name == "at" && (node.is_date_time() || node.is_date())) {
        std::ostringstream text;
        node.visit([&text](const auto& value) {
          if constexpr (toml::is_date_time<decltype(value)> || toml::is_date<decltype(value)>)
            text << value.get();
        });
        entry[name] = text.str();
      } else {
        entry[name] = json_of(node);
      }
    }
    return entry;
  }

  void add_problem(const toml::node& entry, const toml::node& wrong) {
    const auto* table = entry.as_table();
    const auto name = table != nullptr ? (*table)["name"].value_or(std::string()) : std::string();
    read_.problems.push_back({.entry = name,
                              .place = place(wrong),
                              .message = "JSON has no such value",
                              .hint = "a date or time can be a string"});
  }

  fs::path file_;
  fs::path other_;
  ScheduleFile read_;
};

}  // namespace

ScheduleFile read_schedule_file(const fs::path& file) {
  return ScheduleFileReader(fs::absolute(file)).read();
}

std::string version_of(const std::vector<fs::path>& files) {
  std::string version;
  for (const fs::path& file : files) {
    struct stat found = {};
    if (stat(file.c_str(), &found) != 0) found = {};
    for (const auto part :
         {static_cast<long long>(found.st_size), static_cast<long long>(found.st_ino),
          static_cast<long long>(found.st_mtim.tv_sec), static_cast<long long>(found.st_mtim.tv_nsec)})
      version += std::to_string(part) + " ";
  }
  return version;
}

}  // namespace pyhost::detail
