// The rules for module names, and suggestions for misspelt names.
#include "error/module_name.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "pyhost/error.hpp"

namespace pyhost::detail {

namespace {

constexpr std::size_t longest_name = 255;  // also the longest file name

// keyword.kwlist of Python 3.9 to 3.14; the soft keywords (match, type, …) are fine as names.
constexpr std::array<std::string_view, 35> keywords{
    "False", "None",     "True",  "and",    "as",   "assert", "async",  "await",    "break",
    "class", "continue", "def",   "del",    "elif", "else",   "except", "finally",  "for",
    "from",  "global",   "if",    "import", "in",   "is",     "lambda", "nonlocal", "not",
    "or",    "pass",     "raise", "return", "try",  "while",  "with",   "yield"};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view problem_of_part(std::string_view part) {
  if (part.empty()) return "a part of it is empty";
  if (is_digit(part.front())) return "a part of it begins with a digit";
  if (std::ranges::find(keywords, part) != keywords.end()) return "it contains a Python keyword";
  if (part.starts_with("__") && part.ends_with("__"))
    return "names with two underscores on both sides are reserved for Python";
  return {};
}

}  // namespace

std::string_view problem_of_name(std::string_view name) {
  if (name.empty()) return "it is empty";
  if (name.size() > longest_name) return "it is longer than 255 characters";
  if (!std::ranges::all_of(name, [](char c) { return is_letter(c) || is_digit(c) || c == '.'; })) {
    return "a name consists of ASCII letters, digits and _, in parts joined by dots";
  }
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('.', begin), name.size());
    if (const std::string_view problem = problem_of_part(name.substr(begin, end - begin)); !problem.empty()) {
      return problem;
    }
    begin = end + 1;
  }
  return {};
}

namespace {

// Returns the number of edits of one character (insert, delete, replace) between two short texts: Wagner and
// Fischer, 1974.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string quoted_name(std::string_view name) {
  constexpr std::string_view hex = "0123456789abcdef";
  constexpr std::size_t shown_of_long = 60;
  std::string text = "'";
  for (const char c : name.substr(0, name.size() > longest_name ? shown_of_long : name.size())) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      text += c;
    } else {
      text += "\\x";
      text += hex[byte >> 4U];
      text += hex[byte & 0xfU];
    }
  }
  return text + (name.size() > longest_name ? "…'" : "'");
}

void check_module_name(std::string_view name) {
  const std::string_view problem = problem_of_name(name);
  if (problem.empty()) return;
  std::string hint;
  if (name.ends_with(".py")) hint = "use the module's name without .py";
  if (name.find('/') != std::string_view::npos)
    hint = "use the module's name, not its path; module paths say where to look for it";
  throw Error({.kind = ErrorKind::InvalidName,
               .phase = Phase::Find,
               .module = quoted_name(name).substr(1, quoted_name(name).size() - 2),
               .message = quoted_name(name) + " cannot be a module's name: " + std::string(problem),
               .hint = std::move(hint)});
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& names,
                         std::string_view prefix) {
  constexpr std::size_t most_names = 3;
  std::vector<std::pair<std::size_t, std::string_view>> close;
  const std::size_t most_edits = (name.size() + 2) / 3;  // two swapped letters count as two edits
  for (const std::string& other : names) {
    const std::size_t edits = edit_distance(name, other);
    if (edits <= most_edits) close.emplace_back(edits, other);
  }
  std::ranges::sort(close);
  if (close.size() > most_names) close.resize(most_names);
  std::string hint;
  for (const auto& [edits, other] : close) {
    hint.append(hint.empty() ? "did you mean '" : " or '").append(prefix).append(other) += '\'';
  }
  return hint.empty() ? hint : hint + "?";
}

}  // namespace pyhost::detail
