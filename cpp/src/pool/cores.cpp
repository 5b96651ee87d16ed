// Reads the CPU affinity, and the CPU quota of control groups, version 2 and version 1.
#include "pool/cores.hpp"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <thread>

#include "error/control_groups.hpp"

namespace pyhost::detail {

namespace {

namespace fs = std::filesystem;

std::optional<std::size_t> rounded_up(long long quota, long long period) {
  if (quota <= 0 || period <= 0) return std::nullopt;  // "max" or -1 mean no limit
  return static_cast<std::size_t>((quota + period - 1) / period);
}

// Returns the quota of one group. Version 2 has both numbers in one file, version 1 has a file for each.
std::optional<std::size_t> quota_of_folder(const fs::path& folder, bool is_version_2) {
  long long quota = 0, period = 0;
  if (is_version_2) {
    std::ifstream(folder / "cpu.max") >> quota >> period;
  } else {
    std::ifstream(folder / "cpu.cfs_quota_us") >> quota;
    std::ifstream(folder / "cpu.cfs_period_us") >> period;
  }
  return rounded_up(quota, period);
}

}  // namespace

// The quota of a group also limits all groups below it.
std::optional<std::size_t> quota_in_cores(const fs::path& root, std::string_view groups) {
  std::optional<std::size_t> smallest;
  for (const ControlGroup& group : control_groups(root, groups, "cpu")) {
    if (const auto quota = quota_of_folder(group.folder, group.is_version_2);
        quota && (!smallest || *quota < *smallest))
      smallest = quota;
  }
  return smallest;
}

std::size_t usable_cores() {
  cpu_set_t affinity;
  std::size_t cores = sched_getaffinity(0, sizeof affinity, &affinity) == 0
                          ? static_cast<std::size_t>(CPU_COUNT(&affinity))
                          : std::thread::hardware_concurrency();
  if (const auto quota = quota_in_cores(control_groups_root(), control_groups_of()))
    cores = std::min(cores, *quota);
  return std::max<std::size_t>(cores, 1);
}

}  // namespace pyhost::detail
