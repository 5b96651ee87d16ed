// Finds the schedule of a command.
#include "cli/schedule_source.hpp"

#include "cli/arguments.hpp"
#include "cli/configuration.hpp"
#include "cli/errors.hpp"

namespace pyhost::cli {

SchedulerOptions scheduler_options(const ScheduleArguments& arguments) {
  SchedulerOptions options{.from = arguments.from, .history = arguments.history};
  if (!options.from.empty()) return options;
  const Configuration& project = configuration();
  if (!project.has_schedule) {
    throw UsageError(
        (project.file.empty() ? std::string("there is no pyhost.toml in this folder or above it")
                              : project.file.string() + " has no [schedule]") +
        ", so there is no schedule: add [[schedule.entry]] to pyhost.toml, or name another file with --from");
  }
  options.from = project.file.string();
  return options;
}

}  // namespace pyhost::cli
