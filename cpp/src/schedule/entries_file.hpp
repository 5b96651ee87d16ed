// Reads the schedule in a TOML file: the table [schedule] with its entries.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "pyhost/json.hpp"
#include "pyhost/scheduler.hpp"

namespace pyhost::detail {

/// The prefix of a connection's name, in SchedulerOptions and in the file.
inline constexpr std::string_view connection_prefix = "connection:";

/// The content of the table. Its entries are checked later, in the same way as entries from other sources.
struct ScheduleFile {
  std::string connection = {};  ///< Its table pyhost_schedule has the entries; empty: this file has them.
  std::string history = {};     ///< Like SchedulerOptions::history, with an absolute path.
  std::optional<std::size_t> keep_days = {};
  std::optional<std::size_t> keep_runs = {};
  std::optional<std::size_t> workers = {};
  Json entries = Json::array();  ///< Each is an object, with its line under "place".
  std::vector<ScheduleProblem> problems = {};
  std::vector<std::filesystem::path> files = {};  ///< All files that were read.
  std::string version = {};                       ///< version_of() these files, before they were read.
};

/// Reads the table [schedule] of a file, or [tool.pyhost.schedule] of a pyproject.toml.
/// Throws: InvalidSchedule if the file cannot be read, or if a key of the table itself is invalid.
ScheduleFile read_schedule_file(const std::filesystem::path& file);

/// Returns a text that changes when one of the files changes. It is made of their sizes and times.
std::string version_of(const std::vector<std::filesystem::path>& files);

}  // namespace pyhost::detail
