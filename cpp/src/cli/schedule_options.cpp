// The command line of `pyhost schedule` and its commands.
#include <CLI/CLI.hpp>

#include <memory>
#include <string>
#include <utility>

#include "cli/command_options.hpp"

namespace pyhost::cli {

namespace {

constexpr const char* schedule_exit_codes =
    "2 usage, or a schedule that cannot be used; 70 Python could not start;\n"
    "74 the output could not be written; 75 the database is out of reach.";

// `pyhost schedule`, whose options its commands have, too.
struct ScheduleCommand {
  CLI::App& app;
  std::shared_ptr<ScheduleListArguments> arguments;
  CommandLine& result;
};

template <class Arguments>
ScheduleArguments& common_part(Arguments& arguments) {
  return arguments.schedule;
}
ScheduleArguments& common_part(ScheduleTickArguments& arguments) { return arguments.run.schedule; }

// Adds a command. Options that it does not know are those of `pyhost schedule`.
template <class Arguments>
std::pair<CLI::App&, Arguments&> add_nested(const ScheduleCommand& schedule, const char* name,
                                            const char* description) {
  CLI::App* command = schedule.app.add_subcommand(name, description);
  command->fallthrough();
  const auto arguments = std::make_shared<Arguments>();
  command->callback([schedule, name, arguments] {
    if (schedule.app.count("--next") > 0) throw CLI::ExtrasError({"--next"});
    schedule.result.command = std::string("schedule ") + name;
    common_part(*arguments) = schedule.arguments->schedule;
    schedule.result.arguments = *arguments;
  });
  return {*command, *arguments};
}

void add_entry_name(CLI::App& command, std::string& name) {
  command.add_option("NAME", name, "The entry's name")->required();
}

void add_common_options(CLI::App& app, ScheduleArguments& arguments) {
  app.add_option("--from", arguments.from,
                 "A TOML file with [schedule], or connection:NAME; else the project file")
      ->envname("PYHOST_SCHEDULE_FROM");
  app.add_option("--history", arguments.history,
                 "Where runs are stored: an SQLite file or connection:NAME; else as the file says")
      ->envname("PYHOST_SCHEDULE_HISTORY");
  add_host_arguments(app, arguments.host);
  add_json(app, arguments.json, "Print one JSON document");
  app.add_flag("-v,--verbose", arguments.verbose, "Say what Python it runs on, and show an error in full")
      ->envname("PYHOST_VERBOSE");
  app.add_flag("-q,--quiet", arguments.quiet, "Print only results and errors")->envname("PYHOST_QUIET");
}

void add_schedule_check(const ScheduleCommand& schedule) {
  auto [command, arguments] =
      add_nested<ScheduleCheckArguments>(schedule, "check",
                                         "Says what is wrong with the entries and their modules.\n\n"
                                         "Examples:\n"
                                         "  pyhost schedule check\n"
                                         "  pyhost schedule check --from nightly.toml --json\n");
  command.footer(std::string("Files are read, no module runs. `pyhost doctor` checks the schedule, too.\n\n"
                             "Exit codes: 0 nothing is wrong;\n") +
                 schedule_exit_codes);
}

void add_schedule_history(const ScheduleCommand& schedule) {
  auto [command, arguments] =
      add_nested<ScheduleHistoryArguments>(schedule, "history",
                                           "Shows the latest runs, the newest first.\n\n"
                                           "Examples:\n"
                                           "  pyhost schedule history\n"
                                           "  pyhost schedule history nightly --failed --limit 5\n"
                                           "  pyhost schedule history nightly --json\n");
  command.add_option("NAME", arguments.name, "Only the runs of this entry");
  command.add_flag("--failed", arguments.failed, "Only runs that failed, or whose process was lost");
  command.add_option("--limit", arguments.limit, "So many runs at most (20)")
      ->check(CLI::Range(1, 1'000'000));
  command.footer(std::string("With --json each run has its result, too.\n\nExit codes: 0 ok;\n") +
                 schedule_exit_codes);
}

void add_schedule_trigger(const ScheduleCommand& schedule) {
  auto [command, arguments] =
      add_nested<ScheduleTriggerArguments>(schedule, "trigger",
                                           "Runs an entry now, and prints its result.\n\n"
                                           "Examples:\n"
                                           "  pyhost schedule trigger nightly\n"
                                           "  pyhost schedule trigger nightly --json\n");
  add_entry_name(command, arguments.name);
  add_log_arguments(command, arguments.log);
  command.footer(
      "The history has the run. An entry that is paused runs, too; one that runs already does not, unless "
      "it\n"
      "has overlap = \"allow\".\n\n"
      "Exit codes: those of `pyhost run`; 2 also if there is no such entry or it runs already;\n"
      "75 the database is out of reach.");
}

void add_schedule_pause(const ScheduleCommand& schedule, bool resumes) {
  const char* const description =
      resumes ? "Resumes an entry of a database.\n\nExample:\n  pyhost schedule resume nightly\n"
              : "Pauses an entry of a database: nothing of it is due.\n\n"
                "Example:\n  pyhost schedule pause nightly\n";
  auto [command, arguments] =
      add_nested<SchedulePauseArguments>(schedule, resumes ? "resume" : "pause", description);
  arguments.enabled = resumes;
  add_entry_name(command, arguments.name);
  command.footer(std::string("It sets the column `enabled`. An entry in a file has enabled = false instead."
                             "\n\nExit codes: 0 ok;\n") +
                 schedule_exit_codes);
}

void add_run_options(CLI::App& command, ScheduleRunArguments& arguments) {
  command
      .add_option("-j,--jobs", arguments.workers,
                  "How many run at once; else as the file says, else one for each core")
      ->check(CLI::Range(1, 1024))
      ->envname("PYHOST_JOBS");
  add_log_arguments(command, arguments.log);
}

void add_schedule_tick(const ScheduleCommand& schedule) {
  auto [command, arguments] = add_nested<ScheduleTickArguments>(
      schedule, "tick",
      "Runs what is due, waits for it, and ends: for cron, systemd timers and the like.\n\n"
      "Examples:\n"
      "  pyhost schedule tick\n"
      "  pyhost schedule tick --dry-run\n");
  command.add_flag("--dry-run", arguments.dry_run, "Say what would run, and run and store nothing");
  add_run_options(command, arguments.run);
  command.footer(std::string("Exit codes: 0 ok, also if nothing is due; 1 a run failed;\n") +
                 schedule_exit_codes);
}

void add_schedule_run(const ScheduleCommand& schedule) {
  auto [command, arguments] = add_nested<ScheduleRunArguments>(
      schedule, "run",
      "Stays, and runs what becomes due.\n\n"
      "Examples:\n"
      "  pyhost schedule run\n"
      "  pyhost schedule run --from connection:jobs -j 8 --log-format json\n");
  add_run_options(command, arguments);
  command.footer(
      std::string(
          "Ctrl-C or SIGTERM lets the runs in progress end; a second one stops them. A changed file is\n"
          "read at once, a table every 10 s.\n\n"
          "Exit codes: 0 ended by a signal, whatever has failed: the history has that;\n"
          "128+n stopped by a second signal n;\n") +
      schedule_exit_codes);
}

}  // namespace

void add_schedule(CLI::App& program, CommandLine& result) {
  CLI::App* app =
      program.add_subcommand("schedule",
                             "Runs modules when they are due, and shows what is due.\n\n"
                             "Examples:\n"
                             "  pyhost schedule                    # the entries and their next due times\n"
                             "  pyhost schedule --next 5\n"
                             "  pyhost schedule run                # runs what becomes due, until Ctrl-C\n"
                             "  pyhost schedule history --failed\n");
  const ScheduleCommand schedule{*app, std::make_shared<ScheduleListArguments>(), result};
  add_common_options(*app, schedule.arguments->schedule);
  app->add_option("--next", schedule.arguments->next, "So many due times of each entry (1)")
      ->check(CLI::Range(1, 1000));
  app->require_subcommand(0, 1);
  app->callback([schedule] {
    if (!schedule.app.get_subcommands().empty()) return;
    schedule.result.command = "schedule";
    schedule.result.arguments = *schedule.arguments;
  });
  app->footer(
      std::string(
          "Without a command it lists the entries. They are in pyhost.toml, as [[schedule.entry]] with\n"
          "name, module, and one of cron, every, at and after; or in the table pyhost_schedule of a\n"
          "database.\n\nExit codes: 0 ok, also if an entry is broken;\n") +
      schedule_exit_codes);
  add_schedule_check(schedule);
  add_schedule_history(schedule);
  add_schedule_trigger(schedule);
  add_schedule_pause(schedule, false);
  add_schedule_pause(schedule, true);
  add_schedule_tick(schedule);
  add_schedule_run(schedule);
}

}  // namespace pyhost::cli
