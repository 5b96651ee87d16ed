// Where the commands of `pyhost schedule` find the schedule.
#pragma once

#include "pyhost/scheduler.hpp"

namespace pyhost::cli {

struct ScheduleArguments;

/// Returns the options of a scheduler: what the arguments name, otherwise [schedule] of the project file.
/// Throws: UsageError if there is neither.
SchedulerOptions scheduler_options(const ScheduleArguments& arguments);

}  // namespace pyhost::cli
