// Finds the schedule for the commands of `pyhost schedule`.
#pragma once

#include "pyhost/scheduler.hpp"

namespace pyhost::cli {

struct ScheduleArguments;

/// Returns the options of a scheduler, with the source that the arguments name, otherwise the project file.
/// Throws: UsageError if there is no schedule in either.
SchedulerOptions scheduler_options(const ScheduleArguments& arguments);

}  // namespace pyhost::cli
