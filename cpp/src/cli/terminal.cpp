// Finds out the width and the colours of a terminal, and fits text into columns.
#include "cli/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "cli/files.hpp"
#include "error/utf8.hpp"

namespace pyhost::cli {

namespace {

// Removes the first character from the text, and returns its width.
std::size_t take_character(std::string_view& text) {
  const detail::Character character = detail::first_character(text);
  text.remove_prefix(character.size);
  return detail::width(character.code);
}

bool contains_utf_8(std::string text) {
  std::erase(text, '-');
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text.find("utf8") != std::string::npos;
}

// Returns three full stops if the locale is not UTF-8.
std::string_view ellipsis() {
  for (const char* variable : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* const locale = std::getenv(variable);
    if (locale != nullptr && *locale != '\0') return contains_utf_8(locale) ? "…" : "...";
  }
  return "...";
}

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

}  // namespace

std::optional<std::size_t> terminal_width(int descriptor) {
  if (isatty(descriptor) == 0) return std::nullopt;
  if (const char* columns = std::getenv("COLUMNS")) {
    std::size_t given = 0;
    const char* const end = columns + std::strlen(columns);
    if (std::from_chars(columns, end, given).ptr == end && given > 0) return given;
  }
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

bool can_redraw(int descriptor) {
  const char* terminal = std::getenv("TERM");
  return isatty(descriptor) != 0 && terminal != nullptr && std::strcmp(terminal, "dumb") != 0;
}

bool use_colour(int descriptor) { return can_redraw(descriptor) && !is_set("NO_COLOR"); }

std::size_t column_count(std::string_view text) {
  std::size_t columns = 0;
  while (!text.empty()) columns += take_character(text);
  return columns;
}

std::string truncate_end(const std::string& text, std::size_t columns) {
  if (column_count(text) <= columns) return text;
  std::string_view rest = text;
  std::size_t end = 0;
  const std::string_view mark = ellipsis();
  for (std::size_t taken = column_count(mark) + take_character(rest); taken <= columns;
       taken += take_character(rest))
    end = text.size() - rest.size();
  return text.substr(0, end) + std::string(mark);
}

std::string truncate_front(const std::string& text, std::size_t columns) {
  std::size_t taken = column_count(text);
  if (taken <= columns) return text;
  std::string_view rest = text;
  const std::string_view mark = ellipsis();
  while (!rest.empty() && taken + column_count(mark) > columns) taken -= take_character(rest);
  return std::string(mark) + std::string(rest);
}

std::string padded(const std::string& text, std::size_t columns) {
  const std::size_t taken = column_count(text);
  return taken < columns ? text + std::string(columns - taken, ' ') : text;
}

std::vector<std::string> aligned(const std::vector<std::vector<std::string>>& rows) {
  constexpr std::size_t gap = 2;
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], column_count(row[i]));
  }
  std::vector<std::string> lines;
  for (const auto& row : rows) {
    std::string& line = lines.emplace_back();
    for (std::size_t i = 0; i + 1 < row.size(); ++i) line += padded(row[i], widths[i] + gap);
    if (!row.empty()) line += row.back();
    line.erase(line.find_last_not_of(' ') + 1);
  }
  return lines;
}

std::string display_path(const std::string& file) {
  const std::filesystem::path& here = start_folder();
  const std::filesystem::path relative =
      here.empty() ? here : std::filesystem::path(file).lexically_relative(here);
  return relative.empty() || *relative.begin() == ".." ? file : relative.string();
}

}  // namespace pyhost::cli
