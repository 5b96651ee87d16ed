// Reads source files, of a limited size, once each.
#include "error/source_lines.hpp"

#include <filesystem>
#include <fstream>

#include "error/utf8.hpp"

namespace pyhost::detail {

namespace {

constexpr std::uintmax_t largest_file = std::uintmax_t{4} << 20U;
constexpr std::size_t longest_line = 200;

std::vector<std::string> lines_of(const std::string& file) {
  std::error_code failed;
  if (!std::filesystem::is_regular_file(file, failed)) return {};
  if (std::filesystem::file_size(file, failed) > largest_file || failed) return {};
  std::ifstream stream(file, std::ios::binary);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  if (!lines.empty() && lines[0].starts_with("\xef\xbb\xbf")) lines[0].erase(0, 3);
  return lines;
}

}  // namespace

std::string SourceFiles::line(const std::string& file, int number) {
  if (!files_.contains(file)) files_[file] = lines_of(file);
  const std::vector<std::string>& lines = files_[file];
  const auto index = static_cast<std::size_t>(number) - 1;
  return number > 0 && index < lines.size() ? shown_line(lines[index]) : "";
}

std::string shown_line(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  text = text.substr(0, text.find_last_not_of(" \t\r\f") + 1);
  std::string line;
  for (std::size_t i = 0; i < longest_line && !text.empty(); ++i) {
    const Character character = first_character(text);
    line += character.valid ? text.substr(0, character.size) : "\xef\xbf\xbd";
    text.remove_prefix(character.size);
  }
  return line;
}

int column_of_byte(std::string_view line, int byte) {
  if (byte < 0 || static_cast<std::size_t>(byte) > line.size()) return 0;
  std::string_view before = line.substr(0, static_cast<std::size_t>(byte));
  int column = 1;
  for (; !before.empty(); ++column) before.remove_prefix(first_character(before).size);
  return column;
}

}  // namespace pyhost::detail
