// pyhost doctor: shows the Python that a host would use, and what is wrong with it.
#include <algorithm>
#include <iostream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/configuration.hpp"
#include "cli/errors.hpp"
#include "cli/exit_code.hpp"
#include "cli/files.hpp"
#include "cli/host_options.hpp"
#include "cli/json_documents.hpp"
#include "cli/schedule_check.hpp"
#include "cli/schedule_text.hpp"
#include "pyhost/doctor.hpp"

namespace pyhost::cli {

namespace {

void print_findings(const std::vector<Finding>& findings) {
  std::size_t width = 0;
  for (const Finding& each : findings) width = std::max(width, each.name.size());
  for (const Finding& each : findings) {
    std::string line = verdict_name(each);
    line.resize(9, ' ');
    line += each.name;
    line.resize(9 + width + 2, ' ');
    std::cout << line << each.value << '\n';
    if (!each.problem.empty()) std::cout << "         " << each.problem << '\n';
    if (!each.cure.empty()) std::cout << "         cure: " << each.cure << '\n';
  }
}

// Merges the arguments and the project file. Adds a finding for that file, a fault if it has a mistake.
Options options_with_file(const HostArguments& arguments, std::vector<Finding>& findings) {
  Finding found{.name = "configuration"};
  try {
    const Configuration& file = configuration();
    found.value = file.file.empty() ? "none" : file.file.string();
    findings.push_back(found);
    return host_options(arguments, file);
  } catch (const ConfigurationError& error) {
    found.value = "not used";
    found.verdict = Finding::Verdict::Fault;
    found.problem = error.what();
    found.cure = "fix that line; docs/project-file.md lists the allowed keys";
    findings.push_back(found);
    return host_options(arguments, {});
  }
}

// Checks the schedule of the project file. A host can be opened without it, so its problems are warnings.
std::vector<Finding> examine_schedule(const HostArguments& arguments) {
  Finding found{.name = "schedule"};
  std::vector<Finding> findings;
  const auto warn = [&](const std::string& value, const std::string& problem, const std::string& cure) {
    found.value = value;
    found.verdict = Finding::Verdict::Warning;
    found.problem = problem;
    found.cure = cure;
    findings.push_back(found);
  };
  try {
    const ScheduleCheck check = check_schedule({.from = {}, .history = {}, .host = arguments});
    found.value = std::to_string(check.entries) + (check.entries == 1 ? " entry" : " entries");
    for (ScheduleProblem each : check.problems) {
      const std::string cure = std::exchange(each.hint, "");
      std::string problem = problems_text({each});
      problem.pop_back();  // the newline
      warn(each.entry.empty() ? "broken" : each.entry, problem, cure);
    }
    if (findings.empty()) findings.push_back(found);
  } catch (const Error& error) {
    warn("cannot be used", error.message(), error.hint());
  }
  return findings;
}

}  // namespace

int doctor(const DoctorArguments& arguments) {
  require_stdout();
  std::vector<Finding> findings;
  const Options options = options_with_file(arguments.host, findings);
  std::ranges::move(examine(options), std::back_inserter(findings));
  const bool healthy = std::ranges::none_of(
      findings, [](const Finding& each) { return each.verdict == Finding::Verdict::Fault; });
  if (healthy && configuration().has_schedule)
    std::ranges::move(examine_schedule(arguments.host), std::back_inserter(findings));
  if (arguments.json) {
    std::cout << findings_document(findings, healthy) << '\n';
  } else {
    print_findings(findings);
  }
  if (!std::cout.flush()) return not_written;
  return healthy ? ok : not_started;
}

}  // namespace pyhost::cli
