// Writes characters with instructions that every processor has, and chooses between these and AVX-512.
#include "convert/json_characters.hpp"

#include <bit>

#include "error/utf8.hpp"

namespace pyhost::detail {

namespace {

char* write_character(std::uint32_t code, char* out) {
  std::memcpy(out, &character_texts[code], sizeof(CharacterText));
  return out + character_texts[code].size;
}

char* write_two_bytes(std::uint32_t code, char* out) {
  auto bytes = static_cast<std::uint16_t>(0x80c0U | code >> 6U | (code & 0x3fU) << 8U);
  if constexpr (std::endian::native == std::endian::big) bytes = __builtin_bswap16(bytes);
  std::memcpy(out, &bytes, sizeof bytes);
  return out + 2;
}
// Writes a byte after the three, too.
char* write_three_bytes(std::uint32_t code, char* out) {
  std::uint32_t bytes = 0x8080e0U | code >> 12U | (code << 2U & 0x3f00U) | (code << 16U & 0x3f0000U);
  if constexpr (std::endian::native == std::endian::big) bytes = __builtin_bswap32(bytes);
  std::memcpy(out, &bytes, sizeof bytes);
  return out + 3;
}

#ifdef __SSE2__

// Return 16 or eight characters as bytes. A character beyond ASCII becomes a byte beyond ASCII, or one that
// must be escaped.
__m128i narrowed(const Py_UCS1* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }
__m128i narrowed(const Py_UCS2* at) {
  const __m128i characters = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  return _mm_packus_epi16(characters, characters);
}
__m128i narrowed(const Py_UCS4* at) {
  const auto* const halves = reinterpret_cast<const __m128i*>(at);
  const __m128i characters = _mm_packs_epi32(_mm_loadu_si128(halves), _mm_loadu_si128(halves + 1));
  return _mm_packus_epi16(characters, characters);
}

// Returns a bit for each of 16 or eight bytes that is not ASCII or must be escaped. Without escapes, only a
// zero is like those that must be escaped, because it may come from a character beyond ASCII.
template <bool with_escapes, class Character>
unsigned special_in(__m128i bytes) {
  constexpr unsigned all = sizeof(Character) == 1 ? 0xffffU : 0xffU;
  const __m128i marks = with_escapes ? mark_escapes(bytes) : _mm_sub_epi8(bytes, _mm_set1_epi8(1));
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(marks, bytes))) & all;
}

#endif

}  // namespace

template <bool with_escapes, class Character>
char* write_characters_base([[maybe_unused]] const Character* readable, const Character* at,
                            const Character* end, char* out) {
  for (;;) {
#ifdef __SSE2__
    constexpr std::size_t at_once = sizeof(Character) == 1 ? 16 : 8;
    const auto left = static_cast<std::size_t>(end - at);
    unsigned special = 0;
    if (left >= at_once) {
      const __m128i bytes = narrowed(at);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
      special = special_in<with_escapes, Character>(bytes);
      if (special == 0) {  // a branch, because the next block must not wait for the result of this one
        at += at_once;
        out += at_once;
        continue;
      }
    } else if (left == 0) {
      return out;
    } else if (static_cast<std::size_t>(end - readable) >= at_once) {
      const __m128i bytes = narrowed(end - at_once);
      if constexpr (at_once == 16) {
        copy_tail(reinterpret_cast<const char*>(end), left, out);
      } else {
        const auto last = static_cast<std::uint64_t>(_mm_cvtsi128_si64(bytes)) >> (64 - 8 * left);
        std::memcpy(out, &last, sizeof last);
      }
      special = special_in<with_escapes, Character>(bytes) >> (at_once - left);
      if (special == 0) return out + left;
    }
    if (special != 0) {
      const auto plain = static_cast<unsigned>(std::countr_zero(special));
      at += plain;
      out += plain;
    }
#else
    if (at == end) return out;
#endif
    std::uint32_t code = *at;
    if (code < 0x80) {
      if constexpr (with_escapes) {
        out = write_character(code, out);
      } else {
        *out++ = static_cast<char>(code);
      }
      ++at;
    } else if (code < 0x800) {
      do out = write_two_bytes(code, out);
      while (++at != end && (code = *at) - 0x80U < 0x780U);
    } else if (code < 0xd800) {
      do out = write_three_bytes(code, out);
      while (++at != end && (code = *at) - 0x800U < 0xd000U);
    } else {
      out = write_utf8(code, out);
      if (out == nullptr) return nullptr;
      ++at;
    }
  }
}

template <bool with_escapes, class Character>
char* write_characters(const Character* readable, const Character* at, const Character* end, char* out) {
#ifdef PYHOST_AVX512_CODE
  if (has_avx512) return write_characters_avx512<with_escapes>(at, end, out);
#endif
  return write_characters_base<with_escapes>(readable, at, end, out);
}

template char* write_characters<true>(const Py_UCS1*, const Py_UCS1*, const Py_UCS1*, char*);
template char* write_characters<true>(const Py_UCS2*, const Py_UCS2*, const Py_UCS2*, char*);
template char* write_characters<true>(const Py_UCS4*, const Py_UCS4*, const Py_UCS4*, char*);
template char* write_characters<false>(const Py_UCS1*, const Py_UCS1*, const Py_UCS1*, char*);
template char* write_characters<false>(const Py_UCS2*, const Py_UCS2*, const Py_UCS2*, char*);
template char* write_characters<false>(const Py_UCS4*, const Py_UCS4*, const Py_UCS4*, char*);
template char* write_characters_base<true>(const Py_UCS1*, const Py_UCS1*, const Py_UCS1*, char*);
template char* write_characters_base<true>(const Py_UCS2*, const Py_UCS2*, const Py_UCS2*, char*);
template char* write_characters_base<true>(const Py_UCS4*, const Py_UCS4*, const Py_UCS4*, char*);
template char* write_characters_base<false>(const Py_UCS1*, const Py_UCS1*, const Py_UCS1*, char*);
template char* write_characters_base<false>(const Py_UCS2*, const Py_UCS2*, const Py_UCS2*, char*);
template char* write_characters_base<false>(const Py_UCS4*, const Py_UCS4*, const Py_UCS4*, char*);

}  // namespace pyhost::detail
