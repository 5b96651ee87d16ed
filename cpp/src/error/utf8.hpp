// UTF-8 read character by character, also where it is broken; and text made harmless for a terminal.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pyhost::detail {

struct Character {
  char32_t code = 0;     ///< U+FFFD if the text is broken here.
  std::size_t size = 1;  ///< In bytes; 1 if the text is broken here.
  bool valid = false;
};

/// Whether a byte of valid UTF-8 is the first one of a character.
inline bool begins_character(char byte) noexcept {
  return (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U;
}

/// Writes a character beyond ASCII, four bytes at most, and gives the end; null for a surrogate.
inline char* write_utf8(std::uint32_t code, char* out) noexcept {
  const auto put = [&out](std::uint32_t byte) {
    *out++ = static_cast<char>(static_cast<unsigned char>(byte));
  };
  if (code < 0x800) {
    put(0xc0U | code >> 6U);
  } else if (code < 0x10000) {
    if (code >= 0xd800 && code <= 0xdfff) return nullptr;
    put(0xe0U | code >> 12U);
    put(0x80U | (code >> 6U & 0x3fU));
  } else {
    put(0xf0U | code >> 18U);
    put(0x80U | (code >> 12U & 0x3fU));
    put(0x80U | (code >> 6U & 0x3fU));
  }
  put(0x80U | (code & 0x3fU));
  return out;
}

/// Appends a character that is no surrogate.
inline void append_utf8(std::string& out, std::uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  std::array<char, 4> bytes{};
  out.append(bytes.data(), write_utf8(code, bytes.data()));
}

/// The first character of a text that is not empty.
Character first_character(std::string_view text) noexcept;

/// How many columns of a terminal it takes: 2 for East Asian wide characters and emoji, 0 for combining ones.
std::size_t width(char32_t code) noexcept;

/// Valid UTF-8 in which control characters, terminal escapes, marks that turn the direction of text and
/// bytes that are no UTF-8 are shown, not obeyed. Newlines and tabs stay.
std::string terminal_safe(std::string_view text);

/// The same on one line: newlines and tabs become spaces.
std::string terminal_safe_line(std::string_view text);

}  // namespace pyhost::detail
