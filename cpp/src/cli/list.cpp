// pyhost list: lists the modules in the module paths, including broken ones. Runs no module's code.
#include <algorithm>
#include <cstddef>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/host_options.hpp"
#include "cli/json_documents.hpp"
#include "cli/result_stream.hpp"
#include "cli/terminal.hpp"
#include "error/utf8.hpp"
#include "pyhost/host.hpp"

namespace pyhost::cli {

namespace {

struct Row {
  std::string name;
  std::string what;
  std::string file;
  const char* colour;  // empty unless the module is broken or hidden
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
    what = "hidden by " + display_path(module.hidden_by);
    colour = faint;
  }
  return {detail::terminal_safe_line(module.name), detail::terminal_safe_line(what),
          detail::terminal_safe_line(display_path(module.file)), colour};
}

struct Widths {
  std::size_t name;
  std::size_t what;
  std::size_t file;
};

std::size_t widest(const std::vector<Row>& rows, std::string Row::* column) {
  std::size_t most = 0;
  for (const Row& row : rows) most = std::max(most, column_count(row.*column));
  return most;
}

constexpr std::size_t gap = 2;

// The name gets its space first, because users type it. The description and the file share the rest.
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
    text += padded(truncate_end(row.name, widths.name), widths.name) + between;
    if (coloured) text += row.colour;
    text += padded(truncate_end(row.what, widths.what), widths.what);
    if (coloured) text += "\x1b[0m";
    text += between + truncate_front(row.file, widths.file) + "\n";
  }
  return text;
}

void print_strays(const Survey& survey) {
  for (const Diagnostic& stray : survey.strays) {
    std::cerr << to_string(stray.severity) << ": " << detail::terminal_safe_line(display_path(stray.file))
              << ": " << detail::terminal_safe_line(stray.message) << "\n";
  }
  if (!survey.modules.empty()) return;
  std::string looked;
  for (const std::string& folder : survey.folders)
    looked += (looked.empty() ? "" : ", ") + detail::terminal_safe_line(folder);
  std::cerr << "no modules" << (looked.empty() ? "" : " in " + looked)
            << "\nhint: `pyhost new NAME` creates one\n";
}

int list_modules(const ListArguments& arguments, ResultStream& output) {
  const Survey survey = Host(host_options(arguments.host)).survey();
  if (arguments.json) {
    output.write_line(survey_document(survey));
    return ok;
  }
  std::vector<Row> rows;
  for (const ModuleInfo& module : survey.modules) rows.push_back(row_of(module));
  output.write(table(rows, terminal_width(STDOUT_FILENO), use_colour(STDOUT_FILENO)));
  print_strays(survey);
  return ok;
}

}  // namespace

int list(const ListArguments& arguments) {
  ResultStream output;
  return errors_as_json(arguments.json, output, [&] { return list_modules(arguments, output); });
}

}  // namespace pyhost::cli
