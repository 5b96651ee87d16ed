// Reads the counter of a control group.
#include "pool/process/oom_kills.hpp"

#include <fstream>
#include <string>

#include "error/control_groups.hpp"

namespace pyhost::detail {

std::uint64_t oom_kills() { return oom_kills(control_groups_root(), control_groups_of()); }

std::uint64_t oom_kills(const std::filesystem::path& root, std::string_view groups) {
  for (const ControlGroup& group : control_groups(root, groups, "memory")) {
    std::ifstream file(group.folder / (group.is_version_2 ? "memory.events" : "memory.oom_control"));
    std::string name;
    std::uint64_t count = 0;
    while (file >> name >> count) {
      if (name == "oom_kill") return count;
    }
  }
  return 0;
}

}  // namespace pyhost::detail
