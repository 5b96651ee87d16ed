// Decodes characters, measures their width with the C library, and escapes harmful ones.
#include "error/utf8.hpp"

#include <locale.h>
#include <wchar.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace pyhost::detail {

namespace {

struct Range {
  char32_t first, last;
};

template <std::size_t N>
bool in(const std::array<Range, N>& ranges, char32_t code) noexcept {
  return std::ranges::any_of(ranges, [&](Range r) { return code >= r.first && code <= r.last; });
}

// C0, DEL and C1; characters that change the direction of text; line ends of other programs.
constexpr std::array<Range, 9> harmful{{{0x00, 0x08},
                                        {0x0b, 0x1f},
                                        {0x7f, 0x9f},
                                        {0x61c, 0x61c},
                                        {0x200e, 0x200f},
                                        {0x2028, 0x202e},
                                        {0x2066, 0x2069},
                                        {0xfeff, 0xfeff},
                                        {0xe0000, 0xe007f}}};

// Sets a UTF-8 locale for this thread while it exists, whatever the locale of the process is.
class Utf8Locale {
 public:
  Utf8Locale() noexcept : before_(uselocale(locale())) {}
  ~Utf8Locale() { uselocale(before_); }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  static locale_t locale() noexcept {
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

std::string escaped(char32_t code) {
  std::array<char, 12> text{};
  const char* const form = code < 0x100 ? "\\x%02x" : code < 0x10000 ? "\\u%04x" : "\\U%08x";
  std::snprintf(text.data(), text.size(), form, static_cast<unsigned>(code));
  return text.data();
}

}  // namespace

Character first_character(std::string_view text) noexcept {
  constexpr Character broken{0xfffd, 1, false};
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return {first, 1, true};
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return broken;
  char32_t code = first & (0xffU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return broken;
    code = (code << 6U) | (byte(i) & 0x3fU);
  }
  const bool overlong = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
  if (overlong || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return broken;
  return {code, size, true};
}

std::size_t width(char32_t code) noexcept {
  if (code < 0x300) return 1;
  const Utf8Locale locale;
  const int columns = wcwidth(static_cast<wchar_t>(code));
  return columns < 0 ? 1 : static_cast<std::size_t>(columns);  // not in the C library's tables yet
}

std::string terminal_safe(std::string_view text) {
  std::string shown;
  shown.reserve(text.size());
  while (!text.empty()) {
    const Character character = first_character(text);
    if (!character.valid) {
      shown += escaped(static_cast<unsigned char>(text.front()));
    } else if (in(harmful, character.code)) {
      shown += escaped(character.code);
    } else {
      shown += text.substr(0, character.size);
    }
    text.remove_prefix(character.size);
  }
  return shown;
}

std::string terminal_safe_line(std::string_view text) {
  std::string shown = terminal_safe(text);
  std::ranges::replace_if(shown, [](char c) { return c == '\n' || c == '\t'; }, ' ');
  return shown;
}

}  // namespace pyhost::detail
