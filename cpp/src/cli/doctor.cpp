// pyhost doctor: which Python modules would run on, and what is wrong with it.
#include <algorithm>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/configuration.hpp"
#include "cli/errors.hpp"
#include "cli/exit_code.hpp"
#include "cli/host_options.hpp"
#include "cli/json_documents.hpp"
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

// Returns the options with those of the project file. A mistake in that file is a finding.
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
    found.cure = "mend that line; docs/project.md says what the file may hold";
    findings.push_back(found);
    return host_options(arguments, {});
  }
}

}  // namespace

int doctor(const DoctorArguments& arguments) {
  std::vector<Finding> findings;
  const Options options = options_with_file(arguments.host, findings);
  std::ranges::move(examine(options), std::back_inserter(findings));
  const bool healthy = std::ranges::none_of(
      findings, [](const Finding& each) { return each.verdict == Finding::Verdict::Fault; });
  if (arguments.json) {
    std::cout << findings_document(findings, healthy) << '\n';
  } else {
    print_findings(findings);
  }
  if (!std::cout.flush()) return not_written;
  return healthy ? ok : not_started;
}

}  // namespace pyhost::cli
