// The helper process of a scheduler: reads entries, makes claims, and renews them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "host/host_internals.hpp"
#include "pyhost/json.hpp"
#include "pyhost/options.hpp"
#include "pyhost/pool.hpp"

namespace pyhost::detail {

/// A worker process that can import a single module, `claims` in python_modules/pyhost/_schedule. It never
/// runs the user's modules, so that these cannot delay a claim.
/// Thread: any; concurrent calls wait for each other.
class ClaimsProcess {
 public:
  /// `common` is added to the arguments of every call. It says where the history is, and its limits.
  ClaimsProcess(Host& host, Json common, const std::filesystem::path& worker);

  /// Replaces the entries, for a schedule whose entries are not in a table.
  void set_entries(Json entries);

  /// Calls one function of the module, and returns its answer.
  /// Throws: InvalidSchedule; Unreachable, also if the process crashes or does not answer in time.
  Json call(const std::string& function, Json arguments);

 private:
  Json ask(const Json& request);

  Options options_;
  std::vector<std::filesystem::path> paths_;
  Pool pool_;
  Json common_;
  std::mutex mutex_;
  Json entries_;
  std::uint64_t version_ = 0;
};

/// Throws the failure that the helper process has returned: InvalidSchedule or Unreachable.
[[noreturn]] void throw_failure(const Json& error);

}  // namespace pyhost::detail
