// The schedule in a TOML file: the table [schedule] with its entries.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "pyhost/json.hpp"
#include "pyhost/scheduler.hpp"

namespace pyhost::detail {

/// What stands before the name of a connection, in SchedulerOptions and in the file.
inline constexpr std::string_view connection_prefix = "connection:";

/// The content of the table. What an entry means is checked where the entries of all sources are.
struct ScheduleFile {
  std::string connection = {};  ///< Whose table `pyhost_schedule` has the entries; empty: this file has them.
  std::string history = {};     ///< As SchedulerOptions::history, with an absolute path.
  std::optional<std::size_t> keep_days = {};
  std::optional<std::size_t> keep_runs = {};
  std::optional<std::size_t> workers = {};
  Json entries = Json::array();  ///< Each is an object, with its line under "place".
  std::vector<ScheduleProblem> problems = {};
  std::vector<std::filesystem::path> files = {};  ///< That were read: this one, and the one that it names.
  std::string version = {};                       ///< version_of() these, from before they were read.
};

/// Reads the table [schedule] of a file, or [tool.pyhost.schedule] of a pyproject.toml.
/// Throws: InvalidSchedule if the file cannot be read, or if a key of the table itself is wrong.
ScheduleFile read_schedule_file(const std::filesystem::path& file);

/// Changes when one of the files does: their sizes and times.
std::string version_of(const std::vector<std::filesystem::path>& files);

}  // namespace pyhost::detail
