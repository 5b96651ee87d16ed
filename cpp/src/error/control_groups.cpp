// Parses /proc/PID/cgroup.
#include "error/control_groups.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>

namespace pyhost::detail {

namespace {

bool has_word(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    if (list.substr(0, end) == word) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

}  // namespace

// A line is "0::/group" in version 2, and "3:cpu,cpuacct:/group" in version 1.
std::vector<ControlGroup> control_groups(const std::filesystem::path& root, std::string_view groups,
                                         std::string_view controller) {
  std::vector<ControlGroup> found;
  while (!groups.empty()) {
    const std::string_view line = groups.substr(0, groups.find('\n'));
    groups.remove_prefix(std::min(line.size() + 1, groups.size()));
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const bool is_version_2 = controllers.empty();
    if (!is_version_2 && !has_word(controllers, controller)) continue;
    const std::filesystem::path mount = is_version_2 ? root : root / controller;
    auto group = std::filesystem::path(line.substr(second + 1)).relative_path();
    for (; !group.empty(); group = group.parent_path()) found.push_back({mount / group, is_version_2});
    found.push_back({mount, is_version_2});
  }
  return found;
}

std::filesystem::path control_groups_root() { return "/sys/fs/cgroup"; }

std::string control_groups_of(int process) {
  std::ifstream file("/proc/" + (process == 0 ? "self" : std::to_string(process)) + "/cgroup");
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace pyhost::detail
