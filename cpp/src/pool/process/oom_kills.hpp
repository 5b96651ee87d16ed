// Counts the processes that the kernel's out-of-memory killer has killed. Workers are in the control group of
// their pool.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace pyhost::detail {

/// Returns how many processes of this process's control group were killed so far; 0 if that is not known.
std::uint64_t oom_kills();

/// Returns the number for groups that are described as for control_groups().
std::uint64_t oom_kills(const std::filesystem::path& root, std::string_view groups);

}  // namespace pyhost::detail
