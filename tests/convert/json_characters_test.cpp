// Compares the ways to write the characters of a str with each other.
#include "convert/json_characters.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace pyhost::detail;

template <class Character>
using Writing = char* (*)(const Character*, const Character*, const Character*, char*);

template <bool with_escapes, class Character>
char* write_avx512([[maybe_unused]] const Character* readable, [[maybe_unused]] const Character* at,
                   [[maybe_unused]] const Character* end, [[maybe_unused]] char* out) {
#ifdef PYHOST_AVX512_CODE
  return write_characters_avx512<with_escapes>(at, end, out);
#else
  return nullptr;
#endif
}

// Returns the text, or nothing for a lone surrogate. The memory for it is as large as write_characters()
// needs.
template <bool with_escapes, class Character>
std::optional<std::string> written(Writing<Character> write, const std::vector<Character>& characters) {
  std::vector<char> out(characters.size() * (with_escapes ? longest_escape : 4) + written_beyond);
  const Character* const begin = characters.data();
  const char* const end = write(begin, begin, begin + characters.size(), out.data());
  if (end == nullptr) return std::nullopt;
  return std::string(out.data(), static_cast<std::size_t>(end - out.data()));
}

// Returns characters of all sizes in UTF-8, and those around the limits of each size.
template <class Character>
Character any_character(std::mt19937& chance, unsigned kind) {
  constexpr std::uint32_t highest = sizeof(Character) == 1   ? 0xff
                                    : sizeof(Character) == 2 ? 0xffff
                                                             : 0x10ffff;
  const auto below = [&](std::uint32_t limit) { return static_cast<std::uint32_t>(chance() % limit); };
  std::uint32_t code = 'a' + below(26);
  if (below(8) < kind) {
    const std::uint32_t limits[] = {0,     0x20,  0x22,   0x5c,   0x7f,   0x80,
                                    0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000};
    const std::uint32_t ranges[] = {0x20, 0x80, 0x100, 0x800, 0x10000, 0x110000};
    code = below(2) == 0 ? limits[below(12)] : below(ranges[below(6)]);
  }
  code = std::min(code, highest);
  return static_cast<Character>(code >= 0xd800 && code < 0xe000 ? 'x' : code);
}

template <bool with_escapes, class Character>
void compare_with(const std::vector<Character>& characters) {
  const auto base =
      written<with_escapes, Character>(write_characters_base<with_escapes, Character>, characters);
  REQUIRE(base.has_value());
  REQUIRE(written<with_escapes, Character>(write_avx512<with_escapes, Character>, characters) == base);
}

template <class Character>
void compare(std::mt19937& chance, unsigned kind, std::size_t size) {
  std::vector<Character> characters(size);
  std::ranges::generate(characters, [&] { return any_character<Character>(chance, kind); });
  compare_with<true>(characters);
  compare_with<false>(characters);
}

template <bool with_escapes, class Character>
void refuse_surrogate(std::size_t size) {
  for (std::size_t place = 0; place < size; ++place) {
    std::vector<Character> characters(size, 'a');
    characters[place] = static_cast<Character>(0xd800 + 0x3ff * (place % 3));
    CAPTURE(place);
    CHECK_FALSE(written<with_escapes, Character>(write_characters_base<with_escapes, Character>, characters)
                    .has_value());
    if (has_avx512)
      CHECK_FALSE(
          written<with_escapes, Character>(write_avx512<with_escapes, Character>, characters).has_value());
  }
}

}  // namespace

TEST_CASE("AVX-512 writes the same text as other instructions") {
  if (!has_avx512) {
    MESSAGE("not compared: this processor lacks AVX-512");
    return;
  }
  std::mt19937 chance(7);
  for (std::size_t size = 0; size < 200; ++size) {
    for (unsigned kind = 0; kind <= 8; ++kind) {
      CAPTURE(size);
      CAPTURE(kind);
      compare<Py_UCS1>(chance, kind, size);
      compare<Py_UCS2>(chance, kind, size);
      compare<Py_UCS4>(chance, kind, size);
    }
  }
}

TEST_CASE("a lone surrogate is found at every place of a str") {
  refuse_surrogate<true, Py_UCS2>(50);
  refuse_surrogate<true, Py_UCS4>(50);
  refuse_surrogate<false, Py_UCS2>(50);
  refuse_surrogate<false, Py_UCS4>(50);
}
