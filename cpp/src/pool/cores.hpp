// Finds out how many cores this process may use, by its CPU affinity and the CPU quota of its control groups.
// Containers set such a quota.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string_view>

namespace pyhost::detail {

/// Returns the number of cores, at least one.
std::size_t usable_cores();

/// Returns the smallest quota of the process's control groups, in cores and rounded up, or nothing if there
/// is no quota. `root` is where the groups are mounted, as in /sys/fs/cgroup. `groups` is the text of
/// /proc/self/cgroup.
std::optional<std::size_t> quota_in_cores(const std::filesystem::path& root, std::string_view groups);

}  // namespace pyhost::detail
