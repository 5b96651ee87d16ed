// Where the control groups of this process are, of version 2 and version 1.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace pyhost::detail {

struct ControlGroup {
  std::filesystem::path folder;  ///< May be missing, as in a container that has its own mount.
  bool is_version_2;
};

/// Returns the groups that may limit what this controller is for, such as "cpu", each before those above it.
/// `root` is where they are mounted. `groups` is the text of /proc/PID/cgroup.
std::vector<ControlGroup> control_groups(const std::filesystem::path& root, std::string_view groups,
                                         std::string_view controller);

/// The two for a process of this system; 0 for this one.
std::filesystem::path control_groups_root();
std::string control_groups_of(int process = 0);

}  // namespace pyhost::detail
