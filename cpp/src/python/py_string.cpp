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

constexpr std::uint64_t high_bits = 0x8080808080808080U;

// Sets the high bit in each byte that is zero. Bytes above a zero byte may be marked, too.
std::uint64_t zero_bytes(std::uint64_t word) { return (word - 0x0101010101010101U) & ~word & high_bits; }

std::uint64_t not_plain(std::uint64_t word) {
  return (word & high_bits) | zero_bytes(word ^ 0x5c5c5c5c5c5c5c5cU);
}

// The number of characters, and the largest byte. Only the first byte of each character matters.
struct Measure {
  std::size_t characters = 0;
  unsigned char largest = 0;
};

Measure measure(std::string_view utf8) {
  Measure found;
  const char* at = utf8.data();
  const char* end = at + utf8.size();
#ifdef __SSE2__
  __m128i largest = _mm_setzero_si128();
  for (; end - at >= 16; at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    largest = _mm_max_epu8(largest, bytes);
    // As signed numbers, the continuation bytes are below -64.
    const int starts = _mm_movemask_epi8(_mm_cmpgt_epi8(bytes, _mm_set1_epi8(-65)));
    found.characters += static_cast<std::size_t>(__builtin_popcount(static_cast<unsigned>(starts)));
  }
  std::array<unsigned char, 16> lanes;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(lanes.data()), largest);
  for (const unsigned char lane : lanes) found.largest = std::max(found.largest, lane);
#endif
  for (; at != end; ++at) {
    const auto byte = static_cast<unsigned char>(*at);
    found.characters += (byte & 0xc0U) != 0x80U ? 1 : 0;
    found.largest = std::max(found.largest, byte);
  }
  return found;
}

template <class Character>
void decode(std::string_view utf8, Character* out) {
  const auto* at = reinterpret_cast<const unsigned char*>(utf8.data());
  const unsigned char* end = at + utf8.size();
  while (at != end) {
    const unsigned char byte = *at;
    if (byte < 0x80) {
      *out++ = byte;
      ++at;
    } else if (byte < 0xe0) {
      *out++ = static_cast<Character>((byte & 0x1fU) << 6U | (at[1] & 0x3fU));
      at += 2;
    } else if (byte < 0xf0) {
      *out++ = static_cast<Character>((byte & 0xfU) << 12U | (at[1] & 0x3fU) << 6U | (at[2] & 0x3fU));
      at += 3;
    } else {
      *out++ = static_cast<Character>((byte & 0x7U) << 18U | (at[1] & 0x3fU) << 12U | (at[2] & 0x3fU) << 6U |
                                      (at[3] & 0x3fU));
      at += 4;
    }
  }
}

}  // namespace

bool is_valid_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

bool is_plain_ascii(std::string_view text) {
  const char* at = text.data();
  std::size_t left = text.size();
#ifdef __SSE2__
  const __m128i backslash = _mm_set1_epi8('\\');
  for (; left >= 16; at += 16, left -= 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    if (_mm_movemask_epi8(_mm_or_si128(bytes, _mm_cmpeq_epi8(bytes, backslash))) != 0) return false;
  }
#endif
  for (; left >= 8; at += 8, left -= 8) {
    if (not_plain(load8(at)) != 0) return false;
  }
  if (left >= 4) {
    if (not_plain(load4(at) | std::uint64_t{load4(at + left - 4)} << 32U) != 0) return false;
    return true;
  }
  for (; left > 0; ++at, --left) {
    if (static_cast<unsigned char>(*at) >= 0x80 || *at == '\\') return false;
  }
  return true;
}

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
    decode(utf8, PyUnicode_1BYTE_DATA(str));
  } else if (found.largest < 0xf0) {
    decode(utf8, PyUnicode_2BYTE_DATA(str));
  } else {
    decode(utf8, PyUnicode_4BYTE_DATA(str));
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
  Entry& entry = entries_[slot_of(ascii)];
  Py_XDECREF(entry.str);
  Py_INCREF(str);
  entry = {str, false};
  return str;
}

void KeyCache::clear() noexcept {
  for (Entry& entry : entries_) Py_CLEAR(entry.str);
}

}  // namespace pyhost::detail
