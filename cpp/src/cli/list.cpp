// pyhost list: the modules that are there, broken ones included; nothing of them runs.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>

#include "cli/command.hpp"
#include "cli/result_stream.hpp"
#include "cli/terminal.hpp"
#include "pyhost/pyhost.hpp"

namespace pyhost::cli {

namespace {

struct Arguments {
  HostArguments host;
  bool json = false;
};

struct Row {
  std::string name;
  std::string what;
  std::string file;
  const char* colour;  // empty for a module that is sound
};

constexpr const char* red = "\x1b[31m";
constexpr const char* faint = "\x1b[2m";

Row row_of(const ModuleInfo& module) {
  std::string what = module.doc;
  const char* colour = "";
  if (const Diagnostic* error = module.error()) {
    what = "broken, line " + std::to_string(error->line) + ": " + error->message;
    colour = red;
  } else if (!module.hidden_by.empty()) {
    what = "hidden by " + from_here(module.hidden_by);
    colour = faint;
  }
  return {inert(module.name), inert(what), inert(from_here(module.file)), colour};
}

struct Widths {
  std::size_t name;
  std::size_t what;
  std::size_t file;
};

std::size_t widest(const std::vector<Row>& rows, std::string Row::* column) {
  std::size_t most = 0;
  for (const Row& row : rows) most = std::max(most, columns_of(row.*column));
  return most;
}

constexpr std::size_t gap = 2;

// A name is what one types, so it has its room first; what the module does and its file share the rest.
Widths fitted(Widths wanted, std::size_t terminal) {
  wanted.name = std::min(wanted.name, std::max<std::size_t>(2 * terminal / 5, 1));
  const std::size_t taken = wanted.name + 2 * gap;
  const std::size_t rest = terminal > taken + 2 ? terminal - taken : 2;
  if (wanted.what + wanted.file > rest) {
    const std::size_t left = rest > wanted.what ? rest - wanted.what : 0;
    wanted.file = std::min(wanted.file, std::max(left, rest / 2));
    wanted.what = rest - wanted.file;
  }
  return wanted;
}

std::string table(const std::vector<Row>& rows, std::optional<std::size_t> terminal, bool colour) {
  Widths widths{widest(rows, &Row::name), widest(rows, &Row::what), widest(rows, &Row::file)};
  if (terminal) widths = fitted(widths, *terminal);
  const std::string between(gap, ' ');
  std::string text;
  for (const Row& row : rows) {
    const bool coloured = colour && *row.colour != '\0';
    text += padded(cut_end(row.name, widths.name), widths.name) + between;
    if (coloured) text += row.colour;
    text += padded(cut_end(row.what, widths.what), widths.what);
    if (coloured) text += "\x1b[0m";
    text += between + cut_front(row.file, widths.file) + "\n";
  }
  return text;
}

Json json_of(const Survey& survey) {
  Json modules = Json::array();
  for (const ModuleInfo& module : survey.modules) modules.push_back(module.to_json());
  Json strays = Json::array();
  for (const Diagnostic& stray : survey.strays) strays.push_back(stray.to_json());
  return {{"schema", 1}, {"modules", std::move(modules)}, {"strays", std::move(strays)}};
}

void tell_of_strays(const Survey& survey) {
  for (const Diagnostic& stray : survey.strays) {
    std::cerr << to_string(stray.severity) << ": " << inert(from_here(stray.file)) << ": "
              << inert(stray.message) << "\n";
  }
  if (!survey.modules.empty()) return;
  std::string looked;
  for (const std::string& folder : survey.folders) looked += (looked.empty() ? "" : ", ") + inert(folder);
  std::cerr << "no modules" << (looked.empty() ? "" : " in " + looked)
            << "\nhint: `pyhost new NAME` writes one\n";
}

int list(const Arguments& arguments, ResultStream& output) {
  const Survey survey = Host(options_from(arguments.host)).survey();
  if (arguments.json) {
    output.write_line(json_of(survey).dump());
    return ok;
  }
  std::vector<Row> rows;
  for (const ModuleInfo& module : survey.modules) rows.push_back(row_of(module));
  output.write(table(rows, terminal_width(STDOUT_FILENO), colour_wanted(STDOUT_FILENO)));
  tell_of_strays(survey);
  return ok;
}

constexpr const char* examples =
    "Lists the modules that are there, without importing them.\n\n"
    "Examples:\n"
    "  pyhost list\n"
    "  pyhost list -m scripts -m more_scripts\n"
    "  pyhost list --json | python3 -m json.tool\n";

}  // namespace

void add_list(CLI::App& program, int& code) {
  CLI::App* command = program.add_subcommand("list", examples);
  const auto arguments = std::make_shared<Arguments>();
  add_host_arguments(*command, arguments->host);
  command->add_flag("--json", arguments->json, "Print one JSON document")->envname("PYHOST_JSON");
  command->footer(
      std::string(module_paths_footer) +
      "Each line has a module's name, the first line of its docstring, and its file; a broken one says\n"
      "what is wrong and in which line, and `pyhost check NAME` says more. Files are read, nothing runs.\n\n"
      "Exit codes: 0 ok, also if a module is broken; 2 usage; 70 Python could not start;\n"
      "74 the list could not be written.");
  command->callback([arguments, &code] {
    code = exit_code_of("list", [&] {
      ResultStream output({}, false);
      return errors_as_json(arguments->json, output, [&] { return list(*arguments, output); });
    });
  });
}

}  // namespace pyhost::cli
