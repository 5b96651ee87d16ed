// The position in nested JSON: a chain of keys and indices on the C++ stack. It costs nothing unless an error
// needs it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "error/secrets.hpp"

namespace pyhost::detail {

struct JsonPlace {
  const JsonPlace* parent = nullptr;  ///< Null at the top, which has no key and no index.
  std::string_view key = {};          ///< The key in an object.
  std::size_t index = 0;              ///< The index in an array; valid if key.data() is null.
  int depth = 0;                      ///< The number of containers around this value.

  JsonPlace in_object(std::string_view name) const { return {this, name, 0, depth + 1}; }
  JsonPlace in_array(std::size_t at) const { return {this, {}, at, depth + 1}; }
};

/// The message for an integer that only JSON text can hold.
inline constexpr std::string_view beyond_64_bits = "is an integer beyond 64 bits, which Json cannot hold";

/// Returns the JSON pointer of a place (RFC 6901), with secrets masked. The pointer of the top is "".
inline std::string pointer(const JsonPlace& place) {
  std::vector<const JsonPlace*> steps;  // without recursion, because little of the stack may be left
  for (const JsonPlace* at = &place; at->parent != nullptr; at = at->parent) steps.push_back(at);
  std::string text;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    text += '/';
    if ((*step)->key.data() == nullptr) {
      text += std::to_string((*step)->index);
      continue;
    }
    for (const char c : mask_secrets(std::string((*step)->key))) {
      if (c == '~') {
        text += "~0";
      } else if (c == '/') {
        text += "~1";
      } else {
        text += c;
      }
    }
  }
  return text;
}

/// Returns "the state at /a/0", or "the state" for the top. A long pointer is cut in the middle.
inline std::string in_words(std::string_view what, const std::string& pointer) {
  constexpr std::size_t longest = 200;
  if (pointer.empty()) return std::string(what);
  if (pointer.size() <= longest) return std::string(what) + " at " + pointer;
  return std::string(what) + " at " + pointer.substr(0, longest / 2) + "…" +
         pointer.substr(pointer.size() - longest / 2);
}

}  // namespace pyhost::detail
