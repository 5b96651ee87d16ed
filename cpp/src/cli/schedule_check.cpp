// pyhost schedule check: checks whether all entries can run.
#include "cli/schedule_check.hpp"

#include <algorithm>
#include <iostream>
#include <map>
#include <string>
#include <utility>

#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/host_options.hpp"
#include "cli/json_documents.hpp"
#include "cli/messages.hpp"
#include "cli/result_stream.hpp"
#include "cli/schedule_source.hpp"
#include "cli/schedule_text.hpp"
#include "cli/terminal.hpp"
#include "cli/units.hpp"
#include "error/module_name.hpp"
#include "pyhost/host.hpp"

namespace pyhost::cli {

namespace {

// Returns the problems of the entries' modules, by module.
std::map<std::string, ScheduleProblem> problems_of_modules(Host& host, const Schedule& schedule) {
  std::map<std::string, ScheduleProblem> problems;
  std::vector<std::string> there, wanted;
  for (const ModuleInfo& module : host.survey().modules) there.push_back(module.name);
  for (const EntryStatus& each : schedule.entries) {
    const std::string& name = each.entry.module;
    if (std::ranges::find(there, name) != there.end()) {
      wanted.push_back(name);
    } else {
      const std::string close = detail::did_you_mean(name, there);
      problems[name] = {.message = "there is no module '" + name + "'",
                        .hint = close.empty() ? "`pyhost list` shows all modules" : close};
    }
  }
  if (wanted.empty()) return problems;  // survey({}) would look at all modules
  for (const ModuleInfo& module : host.survey(wanted).modules) {
    const Diagnostic* const error = module.error();
    if (error == nullptr || !module.hidden_by.empty()) continue;
    problems[module.name] = {.message = "module '" + module.name +
                                        "' cannot run: " + display_path(error->file) + ":" +
                                        std::to_string(error->line) + ": " + error->message,
                             .hint = "`pyhost check " + module.name + "` shows all its errors"};
  }
  return problems;
}

}  // namespace

ScheduleCheck check_schedule(const ScheduleArguments& arguments) {
  SchedulerOptions options = scheduler_options(arguments);
  Host host(host_options(arguments.host));
  print_environment(host.environment(), arguments.verbose, true);
  Schedule schedule = Scheduler(host, std::move(options)).entries();
  ScheduleCheck check{.entries = schedule.entries.size(), .problems = std::move(schedule.problems)};
  const auto of_modules = problems_of_modules(host, schedule);
  for (const EntryStatus& each : schedule.entries) {
    const auto found = of_modules.find(each.entry.module);
    if (found == of_modules.end()) continue;
    ScheduleProblem problem = found->second;
    problem.entry = each.entry.name;
    problem.place = each.place;
    check.problems.push_back(std::move(problem));
  }
  return check;
}

int schedule_check(const ScheduleCheckArguments& arguments) {
  const ScheduleArguments& common = arguments.schedule;
  ResultStream output({}, {.takes_stdout = common.json});
  return errors_as_json(common.json, output, [&] {
    const ScheduleCheck check = check_schedule(common);
    if (common.json) {
      output.write_line(schedule_problems_document(check.entries, check.problems));
    } else {
      output.write(problems_text(check.problems));
    }
    if (!common.quiet) {
      std::cerr << "pyhost: " << grouped(check.entries) << (check.entries == 1 ? " entry" : " entries")
                << " checked, "
                << (check.problems.empty() ? "no problem" : counted(check.problems.size(), "problem"))
                << "\n";
    }
    return check.problems.empty() ? ok : usage;
  });
}

}  // namespace pyhost::cli
