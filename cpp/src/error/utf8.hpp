// Reads UTF-8 character by character, including invalid UTF-8, and makes text safe for a terminal.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pyhost::detail {

struct Character {
  char32_t code = 0;     ///< U+FFFD if the text is invalid here.
  std::size_t size = 1;  ///< In bytes; 1 if the text is invalid here.
  bool valid = false;
};

/// Returns whether a byte of valid UTF-8 is the first byte of a character.
inline bool begins_character(char byte) noexcept {
  return (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U;
}

/// Writes a character that is not ASCII, in at most four bytes. Returns the end, or null for a surrogate.
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

/// Appends a character, which must not be a surrogate.
inline void append_utf8(std::string& out, std::uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  std::array<char, 4> bytes{};
  out.append(bytes.data(), write_utf8(code, bytes.data()));
}

/// Returns the first character of a text, which must not be empty.
Character first_character(std::string_view text) noexcept;

/// Returns the width of a character in terminal columns: 2 for East Asian wide characters and emoji, 0 for
/// combining characters, otherwise 1.
std::size_t width(char32_t code) noexcept;

/// Returns the text as valid UTF-8 that is safe to print. Control characters, terminal escapes, characters
/// that change the direction of text, and invalid bytes are escaped. Newlines and tabs stay.
std::string terminal_safe(std::string_view text);

/// Like terminal_safe(), but newlines and tabs become spaces.
std::string terminal_safe_line(std::string_view text);

}  // namespace pyhost::detail
