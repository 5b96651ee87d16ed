// Never depends on the locale. Checks and writes 16 bytes at once where SSE2 exists.
#include "convert/json_writer.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "error/utf8.hpp"
#include "python/py_string.hpp"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace pyhost::detail {

namespace {

__extension__ using TwoWords = unsigned __int128;

constexpr std::size_t copied_room = std::size_t{16}
                                    << 10U;  // a text up to this size is copied out of the memory
constexpr std::size_t kept_room = 4 * copied_room;
constexpr std::size_t filled_at_once = 1536;
constexpr std::size_t slice = 1024;        // characters for which memory is reserved at once
constexpr std::size_t longest_escape = 6;  // \u001f; no other character takes more bytes
constexpr std::size_t block = 16;          // bytes that are checked and written at once

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
constexpr std::array<CharacterText, 128> character_texts = make_character_texts();

char* write_character(std::uint32_t code, char* out) {
  std::memcpy(out, &character_texts[code], sizeof(CharacterText));
  return out + character_texts[code].size;
}

#ifdef __SSE2__

// Returns a bit for each byte that must be escaped or is not ASCII. A quote with its second bit inverted is a
// space, the lowest character after the control characters.
unsigned escapes_in(__m128i bytes) {
  const __m128i low = _mm_cmplt_epi8(_mm_xor_si128(bytes, _mm_set1_epi8('"' ^ ' ')), _mm_set1_epi8(' ' + 1));
  const __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(low, backslash)));
}
unsigned escapes_in(const char* at) {
  return escapes_in(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}

// Copies the last bytes before the end, fewer than 16. Reads and writes 16.
void copy_tail(const char* end, std::size_t size, char* out) {
  const TwoWords bytes = (TwoWords{load8(end - 8)} << 64U | load8(end - 16)) >> (8 * (block - size) & 127U);
  std::memcpy(out, &bytes, sizeof bytes);
}

#else

unsigned escapes_in(const char* at) {
  unsigned bits = 0;
  for (unsigned i = 0; i < block; ++i) {
    const auto c = static_cast<unsigned char>(at[i]);
    bits |= (c >= 0x80 || character_texts[c].size > 1 ? 1U : 0U) << i;
  }
  return bits;
}
void copy_tail(const char* end, std::size_t size, char* out) { std::memcpy(out, end - size, size); }

#endif

// The 16 bytes before the text must be readable.
[[gnu::noinline]] char* write_escaped_ascii(const char* at, const char* end, char* out) {
  for (;;) {
    const auto left = static_cast<std::size_t>(end - at);
    unsigned escapes = 0;
    if (left >= block) {
      std::memcpy(out, at, block);
      escapes = escapes_in(at) | 1U << block;
    } else {
      copy_tail(end, left, out);
      escapes = escapes_in(end - block) >> (block - left);
      if (escapes == 0) return out + left;
    }
    const int plain = std::countr_zero(escapes);
    at += plain;
    out += plain;
    if (plain < static_cast<int>(block)) out = write_character(static_cast<unsigned char>(*at++), out);
  }
}

inline char* write_ascii(const char* at, std::size_t size, char* out) {
  const char* const end = at + size;
  for (; size >= block; size -= block, at += block, out += block) {
    if (escapes_in(at) != 0) return write_escaped_ascii(at, end, out);
    std::memcpy(out, at, block);
  }
  if (escapes_in(end - block) >> (block - size) != 0) return write_escaped_ascii(at, end, out);
  copy_tail(end, size, out);
  return out + size;
}

// Writes a character of three bytes, and a byte after it.
char* write_three_bytes(std::uint32_t code, char* out) {
  std::uint32_t bytes = 0x8080e0U | code >> 12U | (code << 2U & 0x3f00U) | (code << 16U & 0x3f0000U);
  if constexpr (std::endian::native == std::endian::big) bytes = __builtin_bswap32(bytes);
  std::memcpy(out, &bytes, sizeof bytes);
  return out + 3;
}

#ifdef __SSE2__
// Return eight characters as bytes. Those that are not ASCII become bytes that are not ASCII or must be
// escaped.
__m128i narrowed(const Py_UCS1* at) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)); }
__m128i narrowed(const Py_UCS2* at) {
  const __m128i characters = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  return _mm_packus_epi16(characters, characters);
}
__m128i narrowed(const Py_UCS4* at) {
  const auto* const halves = reinterpret_cast<const __m128i*>(at);
  const __m128i characters = _mm_packs_epi32(_mm_loadu_si128(halves), _mm_loadu_si128(halves + 1));
  return _mm_packus_epi16(characters, characters);
}
#endif

// Returns null for a lone surrogate.
template <class Character>
char* write_characters(const Character* at, const Character* end, char* out) {
  while (at != end) {
#ifdef __SSE2__
    constexpr int at_once = sizeof(Character) == 1 ? 16 : 8;
    if (end - at >= at_once) {
      const __m128i bytes = narrowed(at);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
      const int plain = std::countr_zero(escapes_in(bytes) | 1U << at_once);
      at += plain;
      out += plain;
      if (plain == at_once) continue;
    }
#endif
    do {
      const std::uint32_t code = *at++;
      if (code < 0x80) {
        out = write_character(code, out);
      } else if (code >= 0x800 && code < 0xd800) {
        out = write_three_bytes(code, out);
      } else {
        out = write_utf8(code, out);
        if (out == nullptr) return nullptr;
      }
    } while (at != end && *at >= 0x80);
  }
  return out;
}

}  // namespace

void JsonWriter::grow(std::size_t wanted) {
  const auto used = static_cast<std::size_t>(out_ - memory_.data());
  const std::size_t needed = used + wanted + 1;
  if (memory_.capacity() < needed) {
    memory_.resize(used);
    memory_.reserve(std::max({needed, used * 2 + 1024, std::min(expected_, used * 64)}));
  }
  // A string fills its memory with zeros. Small steps stay in the fastest cache of the processor.
  memory_.resize(std::min(memory_.capacity(), needed + filled_at_once));
  out_ = memory_.data() + used;
  end_ = memory_.data() + memory_.size();
}

void JsonWriter::clear() noexcept {
  if (memory_.capacity() > kept_room) std::string().swap(memory_);
  out_ = memory_.data();
  end_ = out_ + memory_.size();
}

std::string JsonWriter::take() {
  const auto used = static_cast<std::size_t>(out_ - memory_.data());
  std::string text;
  if (used <= copied_room || memory_.capacity() / 2 > used) {
    text.assign(memory_, 0, used);
  } else {
    memory_.resize(used);
    text.swap(memory_);
  }
  expected_ = used + slice * longest_escape * 2;
  clear();
  return text;
}

template <class Character>
bool JsonWriter::put_characters(const Character* at, std::size_t size) {
  for (std::size_t part = 0; size > 0; at += part, size -= part) {
    part = std::min(size, slice);
    char* const out = write_characters(at, at + part, room(part * longest_escape + block));
    if (out == nullptr) return false;
    out_ = out;
  }
  return true;
}

bool JsonWriter::put_str(PyObject* str) {
  const auto size = static_cast<std::size_t>(PyUnicode_GET_LENGTH(str));
  if (!PyUnicode_IS_COMPACT_ASCII(str) || size > slice) return put_other_str(str, size);
  // The characters stand after the object's fields, which are readable, too.
  const auto* at = reinterpret_cast<const char*>(reinterpret_cast<PyASCIIObject*>(str) + 1);
  char* out = room(size * longest_escape + block + 2);
  *out = '"';
  out = write_ascii(at, size, out + 1);
  *out = '"';
  out_ = out + 1;
  return true;
}

bool JsonWriter::put_other_str(PyObject* str, std::size_t size) {
  const auto before = out_ - memory_.data();
  put('"');
  bool valid = true;
  switch (PyUnicode_KIND(str)) {
    case PyUnicode_1BYTE_KIND:
      valid = put_characters(PyUnicode_1BYTE_DATA(str), size);
      break;
    case PyUnicode_2BYTE_KIND:
      valid = put_characters(PyUnicode_2BYTE_DATA(str), size);
      break;
    default:
      valid = put_characters(PyUnicode_4BYTE_DATA(str), size);
  }
  put('"');
  if (!valid) out_ = memory_.data() + before;
  return valid;
}

namespace {

template <class Character>
bool append_characters(std::string& out, const Character* at, std::size_t size) {
  constexpr std::size_t longest = sizeof(Character) + (sizeof(Character) < 4 ? 1 : 0);
  const std::size_t before = out.size();
  out.resize(before + size * longest);
  char* to = out.data() + before;
  for (const Character* end = at + size; at != end; ++at) {
    if (*at < 0x80) {
      *to++ = static_cast<char>(static_cast<unsigned char>(*at));
    } else if (to = write_utf8(*at, to); to == nullptr) {
      return false;
    }
  }
  out.resize(static_cast<std::size_t>(to - out.data()));
  return true;
}

}  // namespace

bool append_utf8(std::string& out, PyObject* str) {
  const auto size = static_cast<std::size_t>(PyUnicode_GET_LENGTH(str));
  if (PyUnicode_IS_ASCII(str)) {
    out.append(reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(str)), size);
    return true;
  }
  switch (PyUnicode_KIND(str)) {
    case PyUnicode_1BYTE_KIND:
      return append_characters(out, PyUnicode_1BYTE_DATA(str), size);
    case PyUnicode_2BYTE_KIND:
      return append_characters(out, PyUnicode_2BYTE_DATA(str), size);
    default:
      return append_characters(out, PyUnicode_4BYTE_DATA(str), size);
  }
}

}  // namespace pyhost::detail
