// Reads the entries of a schedule, and reloads them when their file changes.
#include "schedule/entries_source.hpp"

#include <chrono>
#include <utility>

#include "schedule/schedule_json.hpp"

namespace pyhost::detail {

namespace {

[[noreturn]] void refuse_options(std::string message, std::string hint) {
  throw Error({.kind = ErrorKind::InvalidSchedule,
               .phase = Phase::Start,
               .message = std::move(message),
               .hint = std::move(hint)});
}

bool is_connection(const std::string& name) { return name.starts_with(connection_prefix); }

std::filesystem::path file_of(const SchedulerOptions& options) {
  if (options.from.empty() || is_connection(options.from)) return {};
  if (!options.entries.empty())
    refuse_options(
        "a scheduler must not have entries of its own and also read entries from '" + options.from + "'",
        "leave out SchedulerOptions::entries or SchedulerOptions::from");
  return std::filesystem::absolute(options.from);
}

ScheduleFile read_source(const std::filesystem::path& path, const SchedulerOptions& options) {
  if (!path.empty()) return read_schedule_file(path);
  ScheduleFile file;
  if (is_connection(options.from)) file.connection = options.from.substr(connection_prefix.size());
  return file;
}

// Returns the arguments that are the same in each call.
Json common_part(const ScheduleFile& file, const SchedulerOptions& options) {
  const bool in_table = !file.connection.empty();
  const std::string history = !options.history.empty() ? options.history : file.history;
  if (history.empty() && !in_table)
    refuse_options("a scheduler with entries from the application needs a history",
                   "name a file in SchedulerOptions::history; it is created if it does not exist");
  constexpr std::size_t default_days = 30, default_runs = 1000;
  const std::size_t days =
      options.keep ? static_cast<std::size_t>(options.keep->count()) : file.keep_days.value_or(default_days);
  Json source;
  if (in_table) {
    source["connection"] = file.connection;
  } else if (is_connection(history)) {
    source["connection"] = history.substr(connection_prefix.size());
  } else {
    source["file"] = std::filesystem::absolute(history).string();
  }
  return {{"source", std::move(source)},
          {"table", in_table},
          {"lease", std::chrono::microseconds(options.lease).count()},
          {"keep_days", days},
          {"keep_runs", options.keep_runs.value_or(file.keep_runs.value_or(default_runs))}};
}

}  // namespace

EntriesSource::EntriesSource(Host& host, const SchedulerOptions& options)
    : path_(file_of(options)),
      file_(read_source(path_, options)),
      version_(file_.version),
      workers_(file_.workers.value_or(0)),
      claims_(host, common_part(file_, options), options.pool.worker) {
  if (file_.connection.empty())
    claims_.set_entries(path_.empty() ? raw_entries(options.entries) : file_.entries);
}

bool EntriesSource::reload() {
  const std::lock_guard lock(mutex_);
  std::string version = version_of(file_.files);
  if (version == version_) return false;
  version_ = std::move(version);
  ScheduleFile file = read_schedule_file(path_);
  if (file.history != file_.history || file.connection != file_.connection) {
    throw Error({.kind = ErrorKind::InvalidSchedule,
                 .phase = Phase::Start,
                 .message = path_.string() + ": 'schedule.from' or 'schedule.history' has changed",
                 .hint = "restart the scheduler to use the other database"});
  }
  file_ = std::move(file);
  version_ = file_.version;
  if (file_.connection.empty()) claims_.set_entries(file_.entries);
  return true;
}

bool EntriesSource::has_changed() const {
  const std::lock_guard lock(mutex_);
  return version_of(file_.files) != version_;
}

void EntriesSource::set_entries(const std::vector<Entry>& entries) {
  if (!path_.empty() || !file_.connection.empty())
    refuse_options("the entries of this scheduler come from a file or a database", "change them there");
  claims_.set_entries(raw_entries(entries));
}

std::vector<ScheduleProblem> EntriesSource::problems() const {
  const std::lock_guard lock(mutex_);
  return file_.problems;
}

}  // namespace pyhost::detail
