// Writes characters with AVX-512: 64 of plain ASCII at once, and 16 of any others at once.
#include "convert/json_characters.hpp"

#ifdef PYHOST_AVX512_CODE

#include <immintrin.h>

#include <algorithm>
#include <bit>

#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12 warns about its own header (GCC bug 105593)
#endif

namespace pyhost::detail {

namespace {

#define PYHOST_AVX512 [[gnu::target("avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt")]]

PYHOST_AVX512 inline __m512i all(std::uint32_t value) { return _mm512_set1_epi32(static_cast<int>(value)); }

// Return up to 16 characters as numbers of 32 bits. The others become zero.
PYHOST_AVX512 inline __m512i load(const Py_UCS1* at, __mmask16 which) {
  return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(which, at));
}
PYHOST_AVX512 inline __m512i load(const Py_UCS2* at, __mmask16 which) {
  return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(which, at));
}
PYHOST_AVX512 inline __m512i load(const Py_UCS4* at, __mmask16 which) {
  return _mm512_maskz_loadu_epi32(which, at);
}

// Copies 64 bytes. Returns whether all are ASCII and need no escape.
template <bool with_escapes>
PYHOST_AVX512 inline bool copy_block(const Py_UCS1* at, char* out) {
  const __m512i bytes = _mm512_loadu_si512(at);
  _mm512_storeu_si512(out, bytes);
  if constexpr (!with_escapes) return _mm512_movepi8_mask(bytes) == 0;
  // A quote with its second bit inverted is a space, the lowest character after the control characters.
  const __m512i low =
      _mm512_sub_epi8(_mm512_xor_si512(bytes, _mm512_set1_epi8('"' ^ ' ')), _mm512_set1_epi8(' ' + 1));
  return (_mm512_movepi8_mask(_mm512_or_si512(low, bytes)) |
          _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('\\'))) == 0;
}

template <bool with_escapes, class Character>
PYHOST_AVX512 char* write_with_avx512(const Character* at, const Character* end, char* out) {
  // The places of the bits that UTF-8 has in each of four bytes, for two characters of 32 bits.
  const __m512i six_bits = _mm512_set1_epi64(0x20262c3200060c12);
  // The letters of escapes of two characters, by the low four bits of the escaped one: "btn" from 8 on, "fr".
  const __m512i letters = _mm512_set4_epi32(0x00007266, 0x006e7462, 0, 0);
  std::uint32_t surrogates = 0;
  while (at != end) {
    const auto count = static_cast<unsigned>(std::min<std::ptrdiff_t>(end - at, 16));
    const auto which = static_cast<__mmask16>((1U << count) - 1);
    const __m512i codes = load(at, which);
    __mmask16 control = 0, escaped = 0;
    if constexpr (with_escapes) {
      control = _mm512_mask_cmplt_epu32_mask(which, codes, all(' '));
      escaped = _kor_mask16(control, _kor_mask16(_mm512_cmpeq_epi32_mask(codes, all('"')),
                                                 _mm512_cmpeq_epi32_mask(codes, all('\\'))));
    }
    const __mmask16 two = _mm512_cmpgt_epu32_mask(codes, all(0x7f));
    if (_kor_mask16(escaped, two) == 0) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtepi32_epi8(codes));
      at += count;
      out += count;
      if constexpr (sizeof(Character) == 1) {
        for (; end - at >= 64 && copy_block<with_escapes>(at, out); at += 64) out += 64;
      }
      continue;
    }
    // Six bits of the character in each byte, and the marks of first and following bytes. Bytes that a
    // character does not need are zero.
    __m512i bytes = _mm512_and_si512(_mm512_multishift_epi64_epi8(six_bits, codes), all(0x3f3f3f3f));
    __m512i marks = all(0x80c00000);
    if constexpr (sizeof(Character) > 1) {
      marks = _mm512_mask_mov_epi32(marks, _mm512_cmpgt_epu32_mask(codes, all(0x7ff)), all(0x8080e000));
      surrogates |= _mm512_cmpeq_epi32_mask(_mm512_and_si512(codes, all(0xfffff800)), all(0xd800));
    }
    if constexpr (sizeof(Character) > 2)
      marks = _mm512_mask_mov_epi32(marks, _mm512_cmpgt_epu32_mask(codes, all(0xffff)), all(0x808080f0));
    bytes = _mm512_mask_or_epi32(_mm512_slli_epi32(codes, 24), two, bytes, marks);
    if constexpr (with_escapes) {
      const __m512i letter = _mm512_mask_mov_epi32(codes, control, _mm512_shuffle_epi8(letters, codes));
      const unsigned rare = _mm512_mask_testn_epi32_mask(control, letter, letter) |
                            _mm512_mask_cmpgt_epu32_mask(control, codes, all('\r'));
      if (rare != 0) [[unlikely]] {  // an escape of six bytes
        const Character* const next = at + std::countr_zero(rare) + 1;
        out = write_characters_base<with_escapes>(at, at, next, out);
        if (out == nullptr) return nullptr;
        at = next;
        continue;
      }
      bytes = _mm512_mask_or_epi32(bytes, escaped, _mm512_slli_epi32(letter, 24), all('\\' << 16));
    }
    constexpr std::uint64_t last_bytes = 0x8888888888888888U;  // used even if zero
    const __mmask64 used = _mm512_test_epi8_mask(bytes, bytes) | last_bytes >> (64 - 4 * count);
    _mm512_storeu_si512(out, _mm512_maskz_compress_epi8(used, bytes));
    out += std::popcount(used);
    at += count;
  }
  return surrogates == 0 ? out : nullptr;
}

}  // namespace

#undef PYHOST_AVX512

const bool has_avx512 = __builtin_cpu_supports("avx512vbmi2") != 0 &&
                        __builtin_cpu_supports("avx512vbmi") != 0 &&
                        __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0;

template <bool with_escapes, class Character>
char* write_characters_avx512(const Character* at, const Character* end, char* out) {
  return write_with_avx512<with_escapes>(at, end, out);
}

template char* write_characters_avx512<true>(const Py_UCS1*, const Py_UCS1*, char*);
template char* write_characters_avx512<true>(const Py_UCS2*, const Py_UCS2*, char*);
template char* write_characters_avx512<true>(const Py_UCS4*, const Py_UCS4*, char*);
template char* write_characters_avx512<false>(const Py_UCS1*, const Py_UCS1*, char*);
template char* write_characters_avx512<false>(const Py_UCS2*, const Py_UCS2*, char*);
template char* write_characters_avx512<false>(const Py_UCS4*, const Py_UCS4*, char*);

}  // namespace pyhost::detail

#endif
