// pyhost check [NAME...]: checks modules against the contract, and prints a line for each problem.
#include <algorithm>
#include <array>
#include <cstddef>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/host_options.hpp"
#include "cli/json_documents.hpp"
#include "cli/result_stream.hpp"
#include "cli/terminal.hpp"
#include "cli/units.hpp"
#include "error/utf8.hpp"
#include "pyhost/host.hpp"

namespace pyhost::cli {

namespace {

struct CheckReport {
  std::size_t modules = 0;
  std::vector<Diagnostic> diagnostics = {};

  std::size_t count(Severity severity) const {
    return static_cast<std::size_t>(std::ranges::count(diagnostics, severity, &Diagnostic::severity));
  }
};

CheckReport report_of(Survey survey) {
  CheckReport report;
  for (ModuleInfo& module : survey.modules) {
    if (module.hidden_by.empty()) ++report.modules;
    std::ranges::move(module.diagnostics, std::back_inserter(report.diagnostics));
  }
  std::ranges::move(survey.strays, std::back_inserter(report.diagnostics));
  return report;
}

// "4 modules checked, 1 error, 2 notes"
std::string summary(const CheckReport& report) {
  std::string text =
      counted(report.modules, "module") + " checked, " +
      (report.count(Severity::Error) == 0 ? "no error" : counted(report.count(Severity::Error), "error"));
  for (const Severity severity : {Severity::Warning, Severity::Note}) {
    if (report.count(severity) > 0) {
      text += ", " + counted(report.count(severity), std::string(to_string(severity)));
    }
  }
  return text;
}

std::string text_of(const CheckReport& report, bool colour) {
  constexpr std::array<const char*, 3> colours{"\x1b[31m", "\x1b[33m", "\x1b[2m"};
  std::string text;
  for (const Diagnostic& each : report.diagnostics) {
    const std::string severity =
        each.severity == Severity::Error ? "" : std::string(to_string(each.severity)) + ": ";
    const std::string code = "[" + each.code + "]";
    text += detail::terminal_safe_line(display_path(each.file)) + ":" + std::to_string(each.line) + ":" +
            std::to_string(each.column) + ": " + severity + detail::terminal_safe_line(each.message) + " ";
    text += colour ? colours[static_cast<std::size_t>(each.severity)] + code + "\x1b[0m" : code;
    text += "\n";
  }
  return text;
}

std::string all_codes() {
  std::string text;
  for (const DiagnosticCode& code : diagnostic_codes()) {
    text += padded(std::string(code.code), 21) + padded(std::string(to_string(code.severity)), 9) +
            std::string(code.meaning) + "\n";
  }
  return text;
}

int check_modules(const CheckArguments& arguments, const std::string& format, ResultStream& output) {
  CheckReport report;
  {
    Host host(host_options(arguments.host));
    report = report_of(host.survey(arguments.names, arguments.import ? Look::Import : Look::Read));
  }
  if (format == "json") {
    output.write_line(diagnostics_document(report.modules, report.diagnostics));
  } else if (format == "sarif") {
    output.write_line(sarif_document(report.diagnostics));
  } else {
    output.write(text_of(report, use_colour(output.descriptor())));
  }
  std::cerr << summary(report) << "\n";
  return report.count(Severity::Error) == 0 ? ok : not_loaded;
}

}  // namespace

int check(const CheckArguments& arguments) {
  const std::string format = arguments.format.empty() && arguments.json ? "json" : arguments.format;
  // With --import, stdout is for diagnostics only, and the output of imported modules goes to stderr.
  ResultStream output({}, {.takes_stdout = arguments.import});
  if (arguments.codes) {
    output.write(all_codes());
    return ok;
  }
  return errors_as_json(format == "json", output, [&] { return check_modules(arguments, format, output); });
}

}  // namespace pyhost::cli
