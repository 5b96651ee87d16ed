// The program pyhost: parses the command line and calls the command.
#include <csignal>
#include <cstdio>
#include <exception>
#include <optional>
#include <variant>

#include "cli/arguments.hpp"
#include "cli/command_line.hpp"
#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/files.hpp"
#include "pyhost/main.hpp"

namespace pyhost::cli {

namespace {

struct Command {
  int operator()(const CheckArguments& arguments) const { return check(arguments); }
  int operator()(const DoctorArguments& arguments) const { return doctor(arguments); }
  int operator()(const ListArguments& arguments) const { return list(arguments); }
  int operator()(const MapArguments& arguments) const { return map(arguments); }
  int operator()(const NewArguments& arguments) const { return new_module(arguments); }
  int operator()(const RunArguments& arguments) const { return run(arguments); }
  int operator()(const ScheduleCheckArguments& arguments) const { return schedule_check(arguments); }
  int operator()(const ScheduleHistoryArguments& arguments) const { return schedule_history(arguments); }
  int operator()(const ScheduleListArguments& arguments) const { return schedule_list(arguments); }
  int operator()(const SchedulePauseArguments& arguments) const { return schedule_pause(arguments); }
  int operator()(const ScheduleRunArguments& arguments) const { return schedule_run(arguments); }
  int operator()(const ScheduleTickArguments& arguments) const { return schedule_tick(arguments); }
  int operator()(const ScheduleTriggerArguments& arguments) const { return schedule_trigger(arguments); }
  int operator()(const StubsArguments&) const { return stubs(); }
};

int run_program(int argc, char** argv) {
  try {
    const CommandLine given = parse_command_line(argc, argv);
    if (given.exit_code) return *given.exit_code;
    return exit_code_of(given.command, [&] { return std::visit(Command(), given.arguments); });
  } catch (const std::exception& unforeseen) {
    std::fprintf(stderr, "error: %s\n", unforeseen.what());
    return not_started;
  }
}

}  // namespace

}  // namespace pyhost::cli

int main(int argc, char** argv) {
  if (const std::optional<int> code = pyhost::python_main(argc, argv)) return *code;
  pyhost::cli::open_standard_streams();
  std::signal(SIGCHLD, SIG_DFL);  // if the parent ignored it, the status of child processes would be lost
  pyhost::cli::start_folder();
  const int code = pyhost::cli::run_program(argc, argv);
  pyhost::shut_down(code);  // before exit(), which destroys static objects of extension modules
  return code;
}
