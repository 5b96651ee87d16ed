// Reads the schedule of a TOML file.
#include "schedule/entries_file.hpp"

#include <sys/stat.h>

#include <functional>
#include <initializer_list>
#include <map>
#include <string_view>
#include <utility>

#include "error/module_name.hpp"
#include "error/toml_file.hpp"

namespace pyhost::detail {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse_file(std::string message, std::string hint = {}) {
  throw Error({.kind = ErrorKind::InvalidSchedule,
               .phase = Phase::Start,
               .message = std::move(message),
               .hint = std::move(hint)});
}

TomlValue read_file(const fs::path& file) {
  try {
    return read_toml_file(file);
  } catch (const TomlError& wrong) {
    refuse_file(wrong.what());
  }
}

class ScheduleFileReader {
 public:
  explicit ScheduleFileReader(fs::path file) : file_(std::move(file)) {}

  ScheduleFile read() {
    const TomlValue table = parse(file_);
    const bool is_project = file_.filename() == "pyproject.toml";
    const TomlValue* const schedule =
        is_project ? find(table, {"tool", "pyhost", "schedule"}) : table.find("schedule");
    const std::string name = is_project ? "[tool.pyhost.schedule]" : "[schedule]";
    if (schedule == nullptr)
      refuse_file(file_.string() + ": there is no table " + name,
                  "an entry of a schedule is written [[schedule.entry]], with name, module and cron");
    if (!schedule->is_table()) refuse(*schedule, "'schedule' must be a table");
    read_schedule(*schedule);
    return std::move(read_);
  }

 private:
  using Keys = std::map<std::string_view, std::function<void(const TomlValue&)>>;

  static const TomlValue* find(const TomlValue& table, std::initializer_list<std::string_view> path) {
    const TomlValue* at = &table;
    for (const std::string_view name : path) {
      if (at != nullptr) at = at->find(name);
    }
    return at;
  }

  TomlValue parse(const fs::path& file) {
    read_.files.push_back(file);
    read_.version += version_of({file});
    return read_file(file);
  }

  std::string place(int line) const { return file_.string() + ":" + std::to_string(line); }

  [[noreturn]] void refuse(const TomlValue& at, const std::string& what, std::string hint = {}) const {
    refuse_file(place(at.line) + ": " + what, std::move(hint));
  }

  void read_schedule(const TomlValue& table) {
    const Keys keys{
        {"from", [this](const TomlValue& node) { read_from(node); }},
        {"history", [this](const TomlValue& node) { read_.history = history(text(node, "history")); }},
        {"keep_days", [this](const TomlValue& node) { read_.keep_days = count(node, "keep_days"); }},
        {"keep_runs", [this](const TomlValue& node) { read_.keep_runs = count(node, "keep_runs"); }},
        {"workers", [this](const TomlValue& node) { read_.workers = count(node, "workers"); }},
        {"entry", [this](const TomlValue& node) { read_entries(node); }}};
    for (const auto& [name, node] : table.members) {
      const auto known = keys.find(name);
      if (known == keys.end()) refuse_key(name, node, keys);
      known->second(node);
    }
    if (read_.history.empty() && read_.connection.empty())
      read_.history = (file_.parent_path() / "schedule.db").string();
  }

  [[noreturn]] void refuse_key(const std::string& name, const TomlValue& node, const Keys& keys) const {
    std::vector<std::string> names;
    for (const auto& key : keys) names.emplace_back(key.first);
    refuse(node, "there is no key 'schedule." + name + "'", did_you_mean(name, names, "schedule."));
  }

  std::string text(const TomlValue& node, const std::string& key) const {
    const std::string* const string = node.string();
    if (string == nullptr || string->empty()) refuse(node, "'schedule." + key + "' must be a string");
    return *string;
  }

  std::size_t count(const TomlValue& node, const std::string& key) const {
    if (!node.scalar.is_number_integer() || node.scalar.get<std::int64_t>() < 1)
      refuse(node, "'schedule." + key + "' must be a positive integer");
    return node.scalar.get<std::size_t>();
  }

  std::string history(const std::string& given) const {
    if (given.starts_with(connection_prefix)) return given;
    return (file_.parent_path() / given).lexically_normal().string();
  }

  void read_from(const TomlValue& node) {
    const std::string from = text(node, "from");
    if (from == "file") return;
    if (from.starts_with(connection_prefix)) {
      read_.connection = from.substr(connection_prefix.size());
      return;
    }
    const fs::path named = (file_.parent_path() / from).lexically_normal();
    const TomlValue table = parse(named);
    file_.swap(other_ = named);
    if (const TomlValue* entries = find(table, {"schedule", "entry"})) read_entries(*entries);
    file_.swap(other_);
  }

  void read_entries(const TomlValue& node) {
    if (!node.is_array()) refuse(node, "'schedule.entry' must be an array", "write it [[schedule.entry]]");
    for (const TomlValue& each : node.elements) {
      try {
        if (!each.is_table())
          refuse(each, "'schedule.entry' must be an array of tables", "write it [[schedule.entry]]");
        read_.entries.push_back(entry_of(each));
        read_.entries.back()["place"] = place(each.line);
      } catch (const NotJson& wrong) {
        add_problem(each, wrong.line);
      }
    }
  }

  // Converts a table to JSON. An unquoted date and time becomes its text.
  static Json entry_of(const TomlValue& table) {
    Json entry = Json::object();
    for (const auto& [name, value] : table.members)
      entry[name] = name == "at" && value.scalar.is_string() ? value.scalar : json_of(value);
    return entry;
  }

  void add_problem(const TomlValue& entry, int line) {
    const TomlValue* const name = entry.find("name");
    read_.problems.push_back(
        {.entry = name != nullptr && name->string() != nullptr ? *name->string() : std::string(),
         .place = place(line),
         .message = "JSON has no such value",
         .hint = "write a date or time as a string"});
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
