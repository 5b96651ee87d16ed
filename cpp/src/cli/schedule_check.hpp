// Checks a schedule.
#pragma once

#include <cstddef>
#include <vector>

#include "pyhost/scheduler.hpp"

namespace pyhost::cli {

struct ScheduleArguments;

struct ScheduleCheck {
  std::size_t entries = 0;  ///< The number of valid entries; their modules may still have problems.
  std::vector<ScheduleProblem> problems = {};
};

/// Checks the entries and the sources of their modules. Opens a host, but runs no module.
ScheduleCheck check_schedule(const ScheduleArguments& arguments);

}  // namespace pyhost::cli
