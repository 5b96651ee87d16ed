// The command line of the program: its commands, options and help texts.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "cli/arguments.hpp"

namespace pyhost::cli {

/// A parsed command line.
struct CommandLine {
  /// Set if there is no command to run, because help was printed or the command line is wrong. The program
  /// ends with it.
  std::optional<int> exit_code;
  std::string command;  ///< Its name, as in "run" or "schedule check".
  std::variant<StubsArguments, RunArguments, MapArguments, ListArguments, CheckArguments, NewArguments,
               DoctorArguments, ScheduleListArguments, ScheduleCheckArguments, ScheduleHistoryArguments,
               ScheduleTriggerArguments, SchedulePauseArguments, ScheduleTickArguments, ScheduleRunArguments>
      arguments;
};

/// Parses the command line and the PYHOST_ variables. Prints help to stdout, and mistakes to stderr.
CommandLine parse_command_line(int argc, char** argv);

}  // namespace pyhost::cli
