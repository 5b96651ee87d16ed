// What is wrong with a schedule.
#pragma once

#include <cstddef>
#include <vector>

#include "pyhost/scheduler.hpp"

namespace pyhost::cli {

struct ScheduleArguments;

struct ScheduleCheck {
  std::size_t entries = 0;  ///< How many can be used, apart from their modules.
  std::vector<ScheduleProblem> problems = {};
};

/// Checks the entries, and reads their modules, of which none runs. Opens a host.
ScheduleCheck check_schedule(const ScheduleArguments& arguments);

}  // namespace pyhost::cli
