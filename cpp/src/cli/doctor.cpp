// pyhost doctor: what Python is this, and will it work?
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "cli/command.hpp"
#include "cli/configuration.hpp"
#include "cli/errors.hpp"
#include "pyhost/pyhost.hpp"

namespace pyhost::cli {

namespace {

using Verdict = Finding::Verdict;

const char* word(Verdict verdict) {
  switch (verdict) {
    case Verdict::Ok:
      return "ok";
    case Verdict::Warning:
      return "warning";
    case Verdict::Fault:
      break;
  }
  return "fault";
}

void print_for_people(const std::vector<Finding>& findings) {
  std::size_t width = 0;
  for (const Finding& each : findings) width = std::max(width, each.name.size());
  for (const Finding& each : findings) {
    std::string line = word(each.verdict);
    line.resize(9, ' ');
    line += each.name;
    line.resize(9 + width + 2, ' ');
    std::cout << line << each.value << '\n';
    if (!each.problem.empty()) std::cout << "         " << each.problem << '\n';
    if (!each.cure.empty()) std::cout << "         cure: " << each.cure << '\n';
  }
}

void print_as_json(const std::vector<Finding>& findings, bool healthy) {
  Json rows = Json::array();
  for (const Finding& each : findings) {
    rows.push_back({{"name", each.name},
                    {"value", each.value},
                    {"verdict", word(each.verdict)},
                    {"problem", each.problem},
                    {"cure", each.cure}});
  }
  const Json document{{"schema", 1}, {"ok", healthy}, {"findings", std::move(rows)}};
  std::cout << document.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
}

constexpr const char* examples =
    "Says what Python modules would run on, and what is wrong with it.\n\n"
    "Examples:\n"
    "  pyhost doctor\n"
    "  pyhost doctor --venv .venv -m scripts\n"
    "  pyhost doctor --json | python3 -m json.tool\n";

// With what the project's file says, unless that is faulty, which is a finding.
Options options_with(std::vector<Finding>& findings, const HostArguments& arguments) {
  Finding found{.name = "configuration"};
  try {
    const Configuration& file = configuration();
    found.value = file.file.empty() ? "none" : file.file.string();
    findings.push_back(found);
    return options_from(arguments, file);
  } catch (const ConfigurationError& wrong) {
    found.value = "not used";
    found.verdict = Verdict::Fault;
    found.problem = wrong.what();
    found.cure = "mend that line; docs/project.md says what the file may hold";
    findings.push_back(found);
    return options_from(arguments, {});
  }
}

}  // namespace

void add_doctor(CLI::App& program, int& code) {
  CLI::App* command = program.add_subcommand("doctor", examples);
  const auto arguments = std::make_shared<HostArguments>();
  const auto json = std::make_shared<bool>(false);
  add_host_arguments(*command, *arguments);
  command->add_flag("--json", *json, "Print one JSON document")->envname("PYHOST_JSON");
  command->footer(
      "No module is imported. It works, and is most useful, where Python cannot start.\n\n"
      "Exit codes: 0 a host can be opened; 70 it cannot: there is a fault.");
  command->callback([arguments, json, &code] {
    std::vector<Finding> findings;
    const Options options = options_with(findings, *arguments);
    std::ranges::move(examine(options), std::back_inserter(findings));
    const bool healthy =
        std::ranges::none_of(findings, [](const Finding& each) { return each.verdict == Verdict::Fault; });
    if (*json) {
      print_as_json(findings, healthy);
    } else {
      print_for_people(findings);
    }
    code = std::cout.flush() ? healthy ? ok : not_started : not_written;
  });
}

}  // namespace pyhost::cli
