// UTF-8 read character by character, also where it is broken; and text made harmless for a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pyhost::detail {

struct Character {
  char32_t code = 0;     ///< U+FFFD if the text is broken here.
  std::size_t size = 1;  ///< In bytes; 1 if the text is broken here.
  bool valid = false;
};

/// The first character of a text that is not empty.
Character first_character(std::string_view text) noexcept;

/// How many columns of a terminal it takes: 2 for East Asian wide characters and emoji, 0 for combining ones.
int width(char32_t code) noexcept;

/// Valid UTF-8 in which control characters, terminal escapes, marks that turn the direction of text and
/// bytes that are no UTF-8 are shown, not obeyed. Newlines and tabs stay.
std::string inert(std::string_view text);

}  // namespace pyhost::detail
