// pyhost schedule, and its nested commands history, trigger, pause and resume.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <iostream>
#include <stop_token>
#include <string>
#include <utility>

#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/host_options.hpp"
#include "cli/json_documents.hpp"
#include "cli/json_text.hpp"
#include "cli/log_output.hpp"
#include "cli/messages.hpp"
#include "cli/result_stream.hpp"
#include "cli/schedule_source.hpp"
#include "cli/schedule_text.hpp"
#include "cli/signals.hpp"
#include "cli/terminal.hpp"
#include "pyhost/host.hpp"
#include "pyhost/scheduler.hpp"

namespace pyhost::cli {

namespace {

// Opens a host and a scheduler, and calls `work` with both.
template <class Work>
auto with_scheduler(const ScheduleArguments& arguments, const LogArguments& log, Work work) {
  SchedulerOptions options = scheduler_options(arguments);  // first, to report its mistakes before Python's
  Options host_opened = host_options(arguments.host);
  log_to_stderr(host_opened, log);
  Host host(std::move(host_opened));
  print_environment(host.environment(), arguments.verbose, arguments.quiet);
  Scheduler scheduler(host, std::move(options));
  return work(host, scheduler);
}

template <class Work>
auto with_scheduler(const ScheduleArguments& arguments, Work work) {
  return with_scheduler(arguments, {}, [&](Host&, Scheduler& scheduler) { return work(scheduler); });
}

}  // namespace

int schedule_list(const ScheduleListArguments& arguments) {
  const ScheduleArguments& common = arguments.schedule;
  ResultStream output({}, {.takes_stdout = common.json});
  return errors_as_json(common.json, output, [&] {
    const Schedule schedule =
        with_scheduler(common, [&](Scheduler& scheduler) { return scheduler.entries(arguments.next); });
    if (common.json) {
      output.write_line(schedule_document(schedule));
      return ok;
    }
    output.write(entries_text(schedule, terminal_width(STDOUT_FILENO), use_colour(STDOUT_FILENO)));
    std::cerr << problems_text(schedule.problems);
    if (schedule.entries.empty() && schedule.problems.empty()) {
      std::cerr
          << "no entries\nhint: an entry is a table [[schedule.entry]] of the file, or a row of the table "
             "pyhost_schedule of a database\n";
    }
    return ok;
  });
}

int schedule_history(const ScheduleHistoryArguments& arguments) {
  const ScheduleArguments& common = arguments.schedule;
  ResultStream output({}, {.takes_stdout = common.json});
  return errors_as_json(common.json, output, [&] {
    const HistoryOptions wanted{
        .entry = arguments.name, .failed_only = arguments.failed, .limit = arguments.limit};
    const auto runs = with_scheduler(common, [&](Scheduler& scheduler) { return scheduler.history(wanted); });
    if (common.json) {
      output.write_line(runs_document(runs));
      return ok;
    }
    output.write(history_text(runs, use_colour(STDOUT_FILENO), common.verbose));
    if (runs.empty()) std::cerr << (arguments.failed ? "no failed runs\n" : "no runs\n");
    return ok;
  });
}

int schedule_trigger(const ScheduleTriggerArguments& arguments) {
  const ScheduleArguments& common = arguments.schedule;
  ResultStream output({}, {.takes_stdout = common.json});
  const auto begun = std::chrono::steady_clock::now();
  prepare_end_by_signal();
  std::stop_source cancel;
  const Signals signals(
      {.signals = {SIGINT, SIGTERM}, .on_signal = [&cancel](int) { cancel.request_stop(); }});
  const int code = errors_as_json(common.json, output, [&]() -> int {
    const ScheduledRun run = with_scheduler(common, arguments.log, [&](Host& host, Scheduler& scheduler) {
      ScheduledRun made = scheduler.trigger(arguments.name, cancel.get_token());
      print_dropped_logs(host);
      return made;
    });
    const std::string text = run.error ? error_json(*run.error) : run.result.value_or("null");
    if (common.json) {
      const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begun;
      output.write_line(run_document(arguments.name, run.error ? "error" : "result", text, passed.count()));
    } else if (run.error) {
      print_error(*run.error, common.verbose);
    } else if (text != "null") {
      output.write_line(text);
    }
    return run.exit_code.value_or(module_raised);
  });
  if (signals.count() > 0) end_by_signal(signals.last());
  return code;
}

int schedule_pause(const SchedulePauseArguments& arguments) {
  const ScheduleArguments& common = arguments.schedule;
  with_scheduler(common, [&](Scheduler& scheduler) {
    scheduler.set_enabled(arguments.name, arguments.enabled);
    return 0;
  });
  if (!common.quiet)
    std::cerr << "pyhost: " << arguments.name << (arguments.enabled ? " is resumed\n" : " is paused\n");
  return ok;
}

}  // namespace pyhost::cli
