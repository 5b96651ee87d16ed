// The source of a schedule's entries: a file, a database, or the application.
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

/// Sends the entries to the helper process, and again when they change. Thread: any.
class EntriesSource {
 public:
  /// Reads the file if the entries are in a file.
  /// Throws: InvalidSchedule.
  EntriesSource(Host& host, const SchedulerOptions& options);

  /// Reads the file if it has changed since the last call, and returns whether it has.
  /// Throws: InvalidSchedule if the file cannot be read, once for each change of it. The entries stay as they
  /// were.
  bool reload();

  void set_entries(const std::vector<Entry>& entries);

  /// Returns the problems that were found while the file was read. The helper process finds those of invalid
  /// entries.
  std::vector<ScheduleProblem> problems() const;

  /// Returns whether the file has changed since it was read.
  bool has_changed() const;

  bool is_file() const noexcept { return !path_.empty(); }

  /// Returns the number of workers that the file sets, or 0 if it sets none.
  std::size_t workers() const noexcept { return workers_; }

  ClaimsProcess& claims() noexcept { return claims_; }

 private:
  const std::filesystem::path path_;  // empty if the entries are not in a file
  mutable std::mutex mutex_;
  ScheduleFile file_;
  std::string version_;
  std::size_t workers_;
  ClaimsProcess claims_;
};

}  // namespace pyhost::detail
