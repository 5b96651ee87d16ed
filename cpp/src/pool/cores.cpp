// Reads the affinity and the files of control groups, of version 2 and version 1.
#include "pool/cores.hpp"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

namespace pyhost::detail {

namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::optional<std::size_t> rounded_up(long long quota, long long period) {
  if (quota <= 0 || period <= 0) return std::nullopt;  // "max", or -1: without a limit
  return static_cast<std::size_t>((quota + period - 1) / period);
}

// Version 2 has both numbers in one file, version 1 has a file for each.
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

// The quota of a group holds for all groups below it.
std::optional<std::size_t> smallest_quota(const fs::path& mount, fs::path group, bool is_version_2) {
  std::optional<std::size_t> smallest;
  while (true) {
    const fs::path folder = group.empty() ? mount : mount / group;
    if (const auto quota = quota_of_folder(folder, is_version_2); quota && (!smallest || *quota < *smallest))
      smallest = quota;
    if (group.empty()) return smallest;
    group = group.parent_path();
  }
}

bool has_word(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    if (list.substr(0, end) == word) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

}  // namespace

// A line is "0::/group" for version 2, and "3:cpu,cpuacct:/group" for version 1.
std::optional<std::size_t> quota_in_cores(const fs::path& root, std::string_view groups) {
  std::optional<std::size_t> smallest;
  while (!groups.empty()) {
    const std::string_view line = groups.substr(0, groups.find('\n'));
    groups.remove_prefix(std::min(line.size() + 1, groups.size()));
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const bool is_version_2 = controllers.empty();
    if (!is_version_2 && !has_word(controllers, "cpu")) continue;
    const fs::path group = fs::path(line.substr(second + 1)).relative_path();
    const fs::path mount = is_version_2 ? root : root / "cpu";
    if (const auto quota = smallest_quota(mount, group, is_version_2);
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
  if (const auto quota = quota_in_cores("/sys/fs/cgroup", text_of("/proc/self/cgroup")))
    cores = std::min(cores, *quota);
  return std::max<std::size_t>(cores, 1);
}

}  // namespace pyhost::detail
