// pyhost check [NAME...]: whether modules keep the contract, told as file:line:column.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <iostream>

#include "cli/command.hpp"
#include "cli/result_stream.hpp"
#include "cli/terminal.hpp"
#include "pyhost/pyhost.hpp"

namespace pyhost::cli {

namespace {

struct Arguments {
  std::vector<std::string> names;
  HostArguments host;
  std::string format;
  bool json = false;
  bool import = false;
  bool codes = false;
};

struct Checked {
  std::size_t modules = 0;
  std::array<std::size_t, 3> counts{};  // by severity
  std::vector<Diagnostic> diagnostics = {};

  std::size_t count(Severity severity) const { return counts[static_cast<std::size_t>(severity)]; }
};

Checked checked_from(const Survey& survey) {
  Checked checked;
  for (const ModuleInfo& module : survey.modules) {
    if (module.hidden_by.empty()) ++checked.modules;
    std::ranges::copy(module.diagnostics, std::back_inserter(checked.diagnostics));
  }
  std::ranges::copy(survey.strays, std::back_inserter(checked.diagnostics));
  for (const Diagnostic& each : checked.diagnostics)
    ++checked.counts[static_cast<std::size_t>(each.severity)];
  return checked;
}

std::string counted(std::size_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

// "4 modules checked, 1 error, 2 notes"
std::string summary(const Checked& checked) {
  std::string text =
      counted(checked.modules, "module") + " checked, " +
      (checked.count(Severity::Error) == 0 ? "no error" : counted(checked.count(Severity::Error), "error"));
  for (const Severity severity : {Severity::Warning, Severity::Note}) {
    if (checked.count(severity) > 0) {
      text += ", " + counted(checked.count(severity), std::string(to_string(severity)));
    }
  }
  return text;
}

std::string text_of(const Checked& checked, bool colour) {
  constexpr std::array<const char*, 3> colours{"\x1b[31m", "\x1b[33m", "\x1b[2m"};
  std::string text;
  for (const Diagnostic& each : checked.diagnostics) {
    const std::string severity =
        each.severity == Severity::Error ? "" : std::string(to_string(each.severity)) + ": ";
    const std::string code = "[" + each.code + "]";
    text += inert(from_here(each.file)) + ":" + std::to_string(each.line) + ":" +
            std::to_string(each.column) + ": " + severity + inert(each.message) + " ";
    text += colour ? colours[static_cast<std::size_t>(each.severity)] + code + "\x1b[0m" : code;
    text += "\n";
  }
  return text;
}

Json json_of(const Checked& checked) {
  Json diagnostics = Json::array();
  for (const Diagnostic& each : checked.diagnostics) diagnostics.push_back(each.to_json());
  return {{"schema", 1},
          {"modules", checked.modules},
          {"errors", checked.count(Severity::Error)},
          {"warnings", checked.count(Severity::Warning)},
          {"notes", checked.count(Severity::Note)},
          {"diagnostics", std::move(diagnostics)}};
}

// --- SARIF 2.1.0, which code hosts show beside the lines

// Relative for a file below this folder, which then is the root of the sources; else absolute.
std::string uri_of(const std::string& file) {
  constexpr std::string_view hex = "0123456789ABCDEF";
  constexpr std::string_view plain = "-._~/";
  std::string uri = file.starts_with('/') ? "file://" : "";
  for (const char c : file) {
    const auto byte = static_cast<unsigned char>(c);
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || plain.find(c) != std::string_view::npos) {
      uri += c;
    } else {
      uri += '%';
      uri += hex[byte >> 4U];
      uri += hex[byte & 0xfU];
    }
  }
  return uri;
}

Json sarif_result(const Diagnostic& diagnostic) {
  const auto codes = diagnostic_codes();
  const auto rule = std::ranges::find(codes, diagnostic.code, &DiagnosticCode::code);
  return {{"ruleId", diagnostic.code},
          {"ruleIndex", rule - codes.begin()},
          {"level", to_string(diagnostic.severity)},
          {"message", {{"text", diagnostic.message}}},
          {"locations",
           Json::array(
               {{{"physicalLocation",
                  {{"artifactLocation", {{"uri", uri_of(from_here(diagnostic.file))}}},
                   {"region", {{"startLine", diagnostic.line}, {"startColumn", diagnostic.column}}}}}}})}};
}

Json sarif_of(const Checked& checked) {
  Json rules = Json::array();
  for (const DiagnosticCode& code : diagnostic_codes()) {
    rules.push_back({{"id", code.code},
                     {"shortDescription", {{"text", code.meaning}}},
                     {"defaultConfiguration", {{"level", to_string(code.severity)}}}});
  }
  Json results = Json::array();
  for (const Diagnostic& each : checked.diagnostics) results.push_back(sarif_result(each));
  Json driver{{"name", "pyhost"}, {"version", PYHOST_VERSION}, {"rules", std::move(rules)}};
  Json run{{"tool", {{"driver", std::move(driver)}}},
           {"columnKind", "unicodeCodePoints"},
           {"results", std::move(results)}};
  return {{"$schema",
           "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"},
          {"version", "2.1.0"},
          {"runs", Json::array({std::move(run)})}};
}

std::string all_codes() {
  std::string text;
  for (const DiagnosticCode& code : diagnostic_codes()) {
    text += padded(std::string(code.code), 21) + padded(std::string(to_string(code.severity)), 9) +
            std::string(code.meaning) + "\n";
  }
  return text;
}

int check(const Arguments& arguments, ResultStream& output) {
  Checked checked;
  {
    Host host(options_from(arguments.host));
    checked = checked_from(host.survey(arguments.names, arguments.import ? Look::Import : Look::Read));
  }
  if (arguments.format == "json") {
    output.write_line(json_of(checked).dump());
  } else if (arguments.format == "sarif") {
    output.write_line(sarif_of(checked).dump(2));
  } else {
    output.write(text_of(checked, colour_wanted(output.descriptor())));
  }
  std::cerr << summary(checked) << "\n";
  return checked.count(Severity::Error) == 0 ? ok : not_loaded;
}

int check_or_explain(Arguments arguments) {
  if (arguments.format.empty() && arguments.json) arguments.format = "json";
  // What modules print while they are imported is no diagnostic.
  ResultStream output({}, arguments.import);
  if (arguments.codes) {
    output.write(all_codes());
    return ok;
  }
  return errors_as_json(arguments.format == "json", output, [&] { return check(arguments, output); });
}

constexpr const char* examples =
    "Checks that modules keep the contract.\n\n"
    "Examples:\n"
    "  pyhost check\n"
    "  pyhost check mod1 portfolio --import\n"
    "  pyhost check --format sarif > pyhost.sarif\n";

}  // namespace

void add_check(CLI::App& program, int& code) {
  CLI::App* command = program.add_subcommand("check", examples);
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("NAME", arguments->names, "The modules to check; all that are there if none is named");
  add_host_arguments(*command, arguments->host);
  command
      ->add_flag("--import", arguments->import,
                 "Also import what has no error yet, and look at its create; this runs the modules' code")
      ->envname("PYHOST_IMPORT");
  command->add_option("--format", arguments->format, "How diagnostics are written to stdout; text by default")
      ->check(CLI::IsMember({"text", "json", "sarif"}))
      ->envname("PYHOST_FORMAT");
  command->add_flag("--json", arguments->json, "The same as --format json")->envname("PYHOST_JSON");
  command->add_flag("--codes", arguments->codes, "Print what each code means, and exit");
  command->footer(
      std::string(module_paths_footer) +
      "Each line is file:line:column: message [code]; `pyhost check --codes` explains the codes. Only\n"
      "what is certain to fail is an error. A module whose name begins with _ and a package that only\n"
      "holds modules need no create, unless they are named.\n\n"
      "Exit codes: 0 no error; 2 usage or bad name; 3 an error was found, or there is no such module;\n"
      "70 Python could not start; 74 the diagnostics could not be written.");
  command->callback(
      [arguments, &code] { code = exit_code_of("check", [&] { return check_or_explain(*arguments); }); });
}

}  // namespace pyhost::cli
