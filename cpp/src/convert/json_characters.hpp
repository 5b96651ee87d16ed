// Writes the characters of a str as UTF-8, or as they stand between the quotes of JSON text. Uses SSE2 and
// AVX-512 where these exist.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "python/py_string.hpp"
#include "python/python.hpp"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace pyhost::detail {

constexpr std::size_t longest_escape = 6;   // \u001f; no other character takes more bytes
constexpr std::size_t written_beyond = 64;  // bytes after the text that may be written, too

/// Writes the characters as UTF-8, with or without the escapes of json.dumps(ensure_ascii=False). Returns the
/// end of the text, or null for a lone surrogate. The memory from `readable` to the end must be readable. It
/// may begin before the characters. `out` needs room for `longest_escape` bytes of each character (without
/// escapes: four) and for `written_beyond` more. Uses AVX-512 if the processor has it.
template <bool with_escapes, class Character>
char* write_characters(const Character* readable, const Character* at, const Character* end, char* out);

/// write_characters() without AVX-512.
template <bool with_escapes, class Character>
char* write_characters_base(const Character* readable, const Character* at, const Character* end, char* out);

#if defined(__x86_64__) && defined(__GNUC__)
#define PYHOST_AVX512_CODE
/// Whether this processor has the parts of AVX-512 that are used.
extern const bool has_avx512;

/// write_characters() with AVX-512. It reads only the characters.
template <bool with_escapes, class Character>
char* write_characters_avx512(const Character* at, const Character* end, char* out);
#else
constexpr bool has_avx512 = false;
#endif

constexpr std::size_t ascii_block = 16;  // bytes that are checked and copied at once

// An ASCII character as JSON text. All eight bytes are written, because that is faster.
struct CharacterText {
  std::array<char, 7> bytes{};
  char size = 1;
};
constexpr std::array<CharacterText, 128> make_character_texts() {
  constexpr std::string_view hex = "0123456789abcdef";
  std::array<CharacterText, 128> all{};
  for (std::size_t c = 0; c < all.size(); ++c) {
    if (c < 0x20) {
      all[c] = {{'\\', 'u', '0', '0', hex[c >> 4U], hex[c & 0xfU]}, 6};
    } else {
      all[c].bytes[0] = static_cast<char>(c);
    }
  }
  constexpr std::string_view characters = "\b\f\n\r\t\"\\", letters = "bfnrt\"\\";
  for (std::size_t i = 0; i < characters.size(); ++i)
    all[static_cast<unsigned char>(characters[i])] = {{'\\', letters[i]}, 2};
  return all;
}
inline constexpr std::array<CharacterText, 128> character_texts = make_character_texts();

#ifdef __SSE2__

/// Sets the highest bit of each ASCII character that must be escaped. A quote with its second bit inverted is
/// a space, the lowest character after the control characters.
inline __m128i mark_escapes(__m128i bytes) {
  const __m128i low = _mm_sub_epi8(_mm_xor_si128(bytes, _mm_set1_epi8('"' ^ ' ')), _mm_set1_epi8(' ' + 1));
  return _mm_or_si128(low, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
}
/// Returns a bit for each of 16 ASCII characters that must be escaped.
inline unsigned ascii_escapes_in(const char* at) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  return static_cast<unsigned>(_mm_movemask_epi8(mark_escapes(bytes)));
}

/// Copies the last bytes before the end, fewer than 16. Reads eight at once, and writes at least eight.
inline void copy_tail(const char* end, std::size_t size, char* out) {
  std::uint64_t last = load8(end - 8);
  if (size >= 8) {
    std::memcpy(out, end - size, 8);
    out += size - 8;
  } else {
    last >>= (64 - 8 * size) & 63U;
  }
  std::memcpy(out, &last, sizeof last);
}

#else

inline unsigned ascii_escapes_in(const char* at) {
  unsigned bits = 0;
  for (unsigned i = 0; i < ascii_block; ++i) {
    const auto c = static_cast<unsigned char>(at[i]);
    bits |= (c < 0x80 && character_texts[c].size > 1 ? 1U : 0U) << i;
  }
  return bits;
}
inline void copy_tail(const char* end, std::size_t size, char* out) { std::memcpy(out, end - size, size); }

#endif

}  // namespace pyhost::detail
