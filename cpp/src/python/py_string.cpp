// Converts UTF-8 to a str of the narrowest kind, 16 bytes at a time with SSE2.
#include "python/py_string.hpp"

#include <simdjson.h>

#include <algorithm>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace pyhost::detail {

namespace {

// The number of characters, and the largest byte. Only the first byte of each character matters.
struct Measure {
  std::size_t characters = 0;
  unsigned char largest = 0;

  void add(unsigned char byte) {
    characters += (byte & 0xc0U) != 0x80U ? 1 : 0;
    largest = std::max(largest, byte);
  }
};

Measure measure(std::string_view utf8) {
  Measure found;
  const char* at = utf8.data();
  const char* end = at + utf8.size();
#ifdef __SSE2__
  static constexpr std::array<unsigned char, 32> zeros_then_ones{
      0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  __m128i largest = _mm_setzero_si128();
  __m128i characters = _mm_setzero_si128();
  // Counts the characters that begin in the last bytes of sixteen.
  const auto add = [&](const char* from, std::ptrdiff_t counted) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    largest = _mm_max_epu8(largest, bytes);
    // As signed numbers, the continuation bytes are below -64.
    const __m128i starts = _mm_cmpgt_epi8(bytes, _mm_set1_epi8(-65));
    const void* ones = &zeros_then_ones[static_cast<std::size_t>(counted)];
    const __m128i each = _mm_and_si128(starts, _mm_loadu_si128(static_cast<const __m128i*>(ones)));
    characters = _mm_add_epi64(characters, _mm_sad_epu8(each, _mm_setzero_si128()));
  };
  if (end - at >= 16) {
    for (; end - at >= 16; at += 16) add(at, 16);
    add(end - 16, end - at);
    at = end;
    characters = _mm_add_epi64(characters, _mm_srli_si128(characters, 8));
    found.characters = static_cast<std::size_t>(_mm_cvtsi128_si64(characters));
    largest = _mm_max_epu8(largest, _mm_srli_si128(largest, 8));
    largest = _mm_max_epu8(largest, _mm_srli_si128(largest, 4));
    largest = _mm_max_epu8(largest, _mm_srli_si128(largest, 2));
    largest = _mm_max_epu8(largest, _mm_srli_si128(largest, 1));
    found.largest = static_cast<unsigned char>(_mm_cvtsi128_si32(largest));
  }
#endif
  for (; at != end; ++at) found.add(static_cast<unsigned char>(*at));
  return found;
}

bool is_ascii(char byte) { return static_cast<unsigned char>(byte) < 0x80; }

// Copies eight ASCII characters.
template <class Character>
void widen(const char* ascii, Character* out) {
#ifdef __SSE2__
  const __m128i zero = _mm_setzero_si128();
  const __m128i words = _mm_unpacklo_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(ascii)), zero);
  auto* to = reinterpret_cast<__m128i*>(out);
  if constexpr (sizeof(Character) == 4) {
    _mm_storeu_si128(to, _mm_unpacklo_epi16(words, zero));
    _mm_storeu_si128(to + 1, _mm_unpackhi_epi16(words, zero));
    return;
  } else if constexpr (sizeof(Character) == 2) {
    _mm_storeu_si128(to, words);
    return;
  }
#endif
  std::copy_n(ascii, 8, out);
}

template <class Character>
void decode(std::string_view utf8, Character* out, std::size_t characters) {
  const char* at = utf8.data();
  const char* const end = at + utf8.size();
  const Character* const out_end = out + characters;
  const auto byte = [&at](int i) { return std::uint32_t{static_cast<unsigned char>(at[i])}; };
  while (at != end) {
    // Copies eight bytes, and keeps those before the first one that is not ASCII. As many characters are
    // left.
    while (out_end - out >= 8) {
      widen(at, out);
      const int ascii = std::countr_zero(load8_in_order(at) & 0x8080808080808080U) / 8;
      at += ascii;
      out += ascii;
      if (ascii < 8) break;
    }
    for (; at != end && is_ascii(*at) && out_end - out < 8; ++at) *out++ = static_cast<Character>(*at);
    while (at != end && !is_ascii(*at)) {
      // Subtracts the marks of all bytes at once.
      if (byte(0) < 0xe0) {
        *out++ = static_cast<Character>((byte(0) << 6U) + byte(1) - 0x3080U);
        at += 2;
      } else if (byte(0) < 0xf0) {
        *out++ = static_cast<Character>((byte(0) << 12U) + (byte(1) << 6U) + byte(2) - 0xe2080U);
        at += 3;
      } else {
        *out++ = static_cast<Character>((byte(0) << 18U) + (byte(1) << 12U) + (byte(2) << 6U) + byte(3) -
                                        0x3c82080U);
        at += 4;
      }
    }
  }
}

}  // namespace

bool is_valid_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

PyObject* str_from_ascii(std::string_view ascii) {
  const auto size = static_cast<Py_ssize_t>(ascii.size());
  // Python caches the empty str and those of one character.
  if (size <= 1) return PyUnicode_FromStringAndSize(ascii.data(), size);
  PyObject* str = PyUnicode_New(size, 0x7f);
  if (str != nullptr) std::memcpy(PyUnicode_1BYTE_DATA(str), ascii.data(), ascii.size());
  return str;
}

PyObject* str_from_valid(std::string_view utf8) {
  const Measure found = measure(utf8);
  if (found.largest < 0x80) return str_from_ascii(utf8);
  const auto size = static_cast<Py_ssize_t>(found.characters);
  const bool one_byte = found.largest < 0xc4;  // the first byte of U+0100
  // Python also caches the one-byte strs of a single character.
  if (one_byte && size == 1)
    return PyUnicode_DecodeUTF8(utf8.data(), static_cast<Py_ssize_t>(utf8.size()), nullptr);
  PyObject* str = PyUnicode_New(size, one_byte ? 0xff : found.largest < 0xf0 ? 0xffff : 0x10ffff);
  if (str == nullptr) return nullptr;
  if (one_byte) {
    decode(utf8, PyUnicode_1BYTE_DATA(str), found.characters);
  } else if (found.largest < 0xf0) {
    decode(utf8, PyUnicode_2BYTE_DATA(str), found.characters);
  } else {
    decode(utf8, PyUnicode_4BYTE_DATA(str), found.characters);
  }
  return str;
}

void KeyCache::intern([[maybe_unused]] Entry& entry) {
  // In Pythons where interned strs are never freed, the keys of states must not be interned.
#if PY_VERSION_HEX < 0x030C0000 || (PY_VERSION_HEX >= 0x030D0000 && !defined(Py_GIL_DISABLED))
  PyUnicode_InternInPlace(&entry.str);
#endif
  entry.interned = true;
}

PyObject* KeyCache::add(std::string_view ascii) {
  PyObject* str = str_from_ascii(ascii);
  if (str == nullptr || PyObject_Hash(str) == -1) return nullptr;
  if (ascii.size() > longest || ascii.empty()) return str;
  const Ends ends = ends_of(ascii);
  Entry& entry = entries_[slot_of(ascii, ends)];
  Py_XDECREF(entry.str);
  Py_INCREF(str);
  entry = {str, ends, static_cast<std::uint32_t>(ascii.size()), false};
  return str;
}

void KeyCache::clear() noexcept {
  for (Entry& entry : entries_) {
    entry.size = 0;
    Py_CLEAR(entry.str);
  }
}

}  // namespace pyhost::detail
