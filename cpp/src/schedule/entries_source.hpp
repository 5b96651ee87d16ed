// Where the entries of a schedule come from: a file, a database, or the application.
#pragma once

#include <cstddef>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "pyhost/host.hpp"
#include "pyhost/scheduler.hpp"
#include "schedule/claims_process.hpp"
#include "schedule/entries_file.hpp"

namespace pyhost::detail {

/// Gives the entries to the helper process, and again when they change. Thread: any.
class EntriesSource {
 public:
  /// Reads the file, if the entries are in one.
  /// Throws: InvalidSchedule.
  EntriesSource(Host& host, const SchedulerOptions& options);

  /// Reads the file if it has changed since the last call. Returns whether it has. A file that cannot be read
  /// leaves the entries as they were.
  /// Throws: InvalidSchedule, once for each change of the file.
  bool reload();

  void set_entries(const std::vector<Entry>& entries);

  /// Of the file as such. The helper process finds what is wrong with entries.
  std::vector<ScheduleProblem> problems() const;

  /// Whether the file has changed since it was read.
  bool has_changed() const;

  bool is_file() const noexcept { return !path_.empty(); }

  /// How many runs are made at once, as the file says; 0 if it does not.
  std::size_t workers() const noexcept { return workers_; }

  ClaimsProcess& claims() noexcept { return claims_; }

 private:
  const std::filesystem::path path_;  // empty if the entries are in no file
  mutable std::mutex mutex_;
  ScheduleFile file_;
  std::string version_;
  std::size_t workers_;
  ClaimsProcess claims_;
};

}  // namespace pyhost::detail
