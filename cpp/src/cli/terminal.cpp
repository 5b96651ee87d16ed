// Widths come from the C library's tables, in a UTF-8 locale of this file's own, whatever the program's
// locale is.
#include "cli/terminal.hpp"

#include <locale.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include "cli/files.hpp"

namespace pyhost::cli {

namespace {

// While it exists, this thread reads multibyte text as UTF-8.
class Utf8Locale {
 public:
  Utf8Locale() : before_(uselocale(locale())) {}
  ~Utf8Locale() { uselocale(before_); }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  static locale_t locale() {
    static const locale_t made = [] {
      for (const char* name : {"C.UTF-8", "C.utf8", "en_US.UTF-8"}) {
        const locale_t found = newlocale(LC_CTYPE_MASK, name, nullptr);
        if (found != nullptr) return found;
      }
      return LC_GLOBAL_LOCALE;
    }();
    return made;
  }
  locale_t before_;
};

struct Character {
  std::string_view bytes;
  wchar_t code;
  bool valid;
};

std::vector<Character> characters(std::string_view text) {
  std::vector<Character> found;
  mbstate_t state{};
  while (!text.empty()) {
    wchar_t code = 0;
    const std::size_t size = mbrtowc(&code, text.data(), text.size(), &state);
    const bool valid = size <= text.size();
    const std::size_t taken = valid ? std::max<std::size_t>(size, 1) : 1;
    found.push_back({text.substr(0, taken), code, valid});
    if (!valid) state = {};
    text.remove_prefix(taken);
  }
  return found;
}

// Returns true for C0 and C1 controls, line separators, and the marks that change the direction of text.
bool is_control(wchar_t code) {
  const auto in = [code](wchar_t first, wchar_t last) { return code >= first && code <= last; };
  return in(0, 0x1f) || in(0x7f, 0x9f) || in(0x200e, 0x200f) || in(0x2028, 0x202e) || in(0x2066, 0x2069);
}

std::string escaped(const Character& character) {
  std::array<char, 12> text{};
  const auto code = static_cast<unsigned>(character.valid ? static_cast<unsigned>(character.code)
                                                          : static_cast<unsigned char>(character.bytes[0]));
  std::snprintf(text.data(), text.size(), code <= 0xff ? "\\x%02x" : "\\u%04x", code);
  return text.data();
}

std::size_t width(const Character& character) {
  const int columns = wcwidth(character.code);
  return columns < 0 ? 1 : static_cast<std::size_t>(columns);  // the C library does not know it yet
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

bool use_colour(int descriptor) {
  const char* terminal = std::getenv("TERM");
  const bool dumb = terminal == nullptr || std::strcmp(terminal, "dumb") == 0;
  return isatty(descriptor) != 0 && !dumb && !is_set("NO_COLOR");
}

std::string terminal_safe(std::string_view text) {
  const Utf8Locale locale;
  std::string shown;
  for (const Character& each : characters(text)) {
    if (each.valid && each.code == L'\t') {
      shown += ' ';
    } else if (!each.valid || is_control(each.code)) {
      shown += escaped(each);
    } else {
      shown += each.bytes;
    }
  }
  return shown;
}

std::size_t column_count(std::string_view text) {
  const Utf8Locale locale;
  std::size_t columns = 0;
  for (const Character& each : characters(text)) columns += width(each);
  return columns;
}

std::string truncate_end(const std::string& text, std::size_t columns) {
  if (column_count(text) <= columns) return text;
  const Utf8Locale locale;
  std::string kept;
  std::size_t taken = 1;
  for (const Character& each : characters(text)) {
    taken += width(each);
    if (taken > columns) break;
    kept += each.bytes;
  }
  return kept + "…";
}

std::string truncate_front(const std::string& text, std::size_t columns) {
  if (column_count(text) <= columns) return text;
  const Utf8Locale locale;
  const std::vector<Character> all = characters(text);
  std::size_t taken = 1;
  std::size_t kept = 0;  // bytes at the end
  for (auto each = all.rbegin(); each != all.rend(); ++each) {
    taken += width(*each);
    if (taken > columns) break;
    kept += each->bytes.size();
  }
  return "…" + text.substr(text.size() - kept);
}

std::string padded(const std::string& text, std::size_t columns) {
  const std::size_t taken = column_count(text);
  return taken < columns ? text + std::string(columns - taken, ' ') : text;
}

std::string display_path(const std::string& file) {
  const std::filesystem::path& here = start_folder();
  const std::filesystem::path relative =
      here.empty() ? here : std::filesystem::path(file).lexically_relative(here);
  return relative.empty() || *relative.begin() == ".." ? file : relative.string();
}

}  // namespace pyhost::cli
