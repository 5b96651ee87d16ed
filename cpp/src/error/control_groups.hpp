// Finds the control groups of a process, of version 2 and version 1.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace pyhost::detail {

struct ControlGroup {
  std::filesystem::path folder;  ///< May be missing, for example in a container that has its own mount.
  bool is_version_2;
};

/// Returns the groups that may limit the resource of this controller, such as "cpu". Each group comes before
/// its parents. `root` is where the groups are mounted. `groups` is the text of /proc/PID/cgroup.
std::vector<ControlGroup> control_groups(const std::filesystem::path& root, std::string_view groups,
                                         std::string_view controller);

/// Return these two arguments for a process of this system. 0 means the current process.
std::filesystem::path control_groups_root();
std::string control_groups_of(int process = 0);

}  // namespace pyhost::detail
