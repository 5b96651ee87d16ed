// The command line of `pyhost schedule` and its commands.
#include <CLI/CLI.hpp>

#include <memory>
#include <string>
#include <utility>

#include "cli/command_options.hpp"

namespace pyhost::cli {

namespace {

constexpr const char* schedule_exit_codes =
    "2 usage error, or an invalid schedule; 70 Python could not start;\n"
    "74 the output could not be written; 75 the database cannot be reached.";

// `pyhost schedule`. Its nested commands share its options.
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

// Adds a nested command. It passes options that it does not know to `pyhost schedule`.
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
                 "A TOML file with [schedule], or connection:NAME (default: the project file)")
      ->envname("PYHOST_SCHEDULE_FROM");
  app.add_option("--history", arguments.history,
                 "Where runs are stored: an SQLite file or connection:NAME (default: as in the file)")
      ->envname("PYHOST_SCHEDULE_HISTORY");
  add_host_arguments(app, arguments.host);
  add_json(app, arguments.json, "Print one JSON document");
  app.add_flag("-v,--verbose", arguments.verbose,
               "Print which Python and virtual environment are used, and errors in full")
      ->envname("PYHOST_VERBOSE");
  app.add_flag("-q,--quiet", arguments.quiet, "Print only results and errors")->envname("PYHOST_QUIET");
}

void add_schedule_check(const ScheduleCommand& schedule) {
  auto [command, arguments] =
      add_nested<ScheduleCheckArguments>(schedule, "check",
                                         "Checks the entries and their modules.\n\n"
                                         "Examples:\n"
                                         "  pyhost schedule check\n"
                                         "  pyhost schedule check --from nightly.toml --json\n");
  command.footer(std::string("No module's code runs. `pyhost doctor` also checks the schedule.\n\n"
                             "Exit codes: 0 no problems;\n") +
                 schedule_exit_codes);
}

void add_schedule_history(const ScheduleCommand& schedule) {
  auto [command, arguments] =
      add_nested<ScheduleHistoryArguments>(schedule, "history",
                                           "Shows the latest runs, newest first.\n\n"
                                           "Examples:\n"
                                           "  pyhost schedule history\n"
                                           "  pyhost schedule history nightly --failed --limit 5\n"
                                           "  pyhost schedule history nightly --json\n");
  command.add_option("NAME", arguments.name, "Show only the runs of this entry");
  command.add_flag("--failed", arguments.failed, "Show only runs that failed or whose process was lost");
  command.add_option("--limit", arguments.limit, "Show at most this many runs (default: 20)")
      ->check(CLI::Range(1, 1'000'000));
  command.footer(std::string("With --json, each run includes its result.\n\nExit codes: 0 ok;\n") +
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
      "The run is stored in the history. A paused entry runs, too. If a run of the entry is in progress, it\n"
      "runs only with overlap = \"allow\".\n\n"
      "Exit codes: those of `pyhost run`; 2 also if the entry does not exist or is already running;\n"
      "75 the database cannot be reached.");
}

void add_schedule_pause(const ScheduleCommand& schedule, bool resumes) {
  const char* const description =
      resumes ? "Resumes an entry of a database.\n\nExample:\n  pyhost schedule resume nightly\n"
              : "Pauses an entry of a database until it is resumed.\n\n"
                "Example:\n  pyhost schedule pause nightly\n";
  auto [command, arguments] =
      add_nested<SchedulePauseArguments>(schedule, resumes ? "resume" : "pause", description);
  arguments.enabled = resumes;
  add_entry_name(command, arguments.name);
  command.footer(std::string("It sets the column `enabled`. To pause an entry in a file, write enabled = "
                             "false there.\n\nExit codes: 0 ok;\n") +
                 schedule_exit_codes);
}

void add_run_options(CLI::App& command, ScheduleRunArguments& arguments) {
  command
      .add_option("-j,--jobs", arguments.workers,
                  "The number of runs at once (default: as in the file, otherwise one for each core)")
      ->check(CLI::Range(1, 1024))
      ->envname("PYHOST_JOBS");
  add_log_arguments(command, arguments.log);
}

void add_schedule_tick(const ScheduleCommand& schedule) {
  auto [command, arguments] = add_nested<ScheduleTickArguments>(
      schedule, "tick",
      "Runs the entries that are due, and exits: for cron, systemd timers and the like.\n\n"
      "Examples:\n"
      "  pyhost schedule tick\n"
      "  pyhost schedule tick --dry-run\n");
  command.add_flag("--dry-run", arguments.dry_run, "Print what would run, without running or storing it");
  add_run_options(command, arguments.run);
  command.footer(
      std::string("Exit codes: 0 ok, even if nothing is due; 1 a run failed; 128+n ended by signal n;\n") +
      schedule_exit_codes);
}

void add_schedule_run(const ScheduleCommand& schedule) {
  auto [command, arguments] = add_nested<ScheduleRunArguments>(
      schedule, "run",
      "Runs entries when they become due, until a signal ends it.\n\n"
      "Examples:\n"
      "  pyhost schedule run\n"
      "  pyhost schedule run --from connection:jobs -j 8 --log-format json\n");
  add_run_options(command, arguments);
  command.footer(std::string("After Ctrl-C or SIGTERM no more runs begin, and the runs in flight finish. A "
                             "second signal cancels\n"
                             "them. A changed file is read at once, and a table every 10 s.\n\n"
                             "Exit codes: 0 ended by a signal, even if runs failed: see the history;\n"
                             "128+n ended by a second signal n;\n") +
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
                             "  pyhost schedule run                # run entries when due, until Ctrl-C\n"
                             "  pyhost schedule history --failed\n");
  const ScheduleCommand schedule{*app, std::make_shared<ScheduleListArguments>(), result};
  add_common_options(*app, schedule.arguments->schedule);
  app->add_option("--next", schedule.arguments->next, "Show this many due times of each entry (default: 1)")
      ->check(CLI::Range(1, 1000));
  app->require_subcommand(0, 1);
  app->callback([schedule] {
    if (!schedule.app.get_subcommands().empty()) return;
    schedule.result.command = "schedule";
    schedule.result.arguments = *schedule.arguments;
  });
  app->footer(
      std::string(
          "Without a command it lists the entries. An entry is a table [[schedule.entry]] in pyhost.toml "
          "with\n"
          "name, module, and one of cron, every, at and after; or a row of the table pyhost_schedule in a\n"
          "database.\n\nExit codes: 0 ok, even if an entry is invalid;\n") +
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
