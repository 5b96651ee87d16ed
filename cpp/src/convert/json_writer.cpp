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

// Sets the highest bit of each ASCII character that must be escaped. A quote with its second bit inverted is
// a space, the lowest character after the control characters.
__m128i mark_escapes(__m128i bytes) {
  const __m128i low = _mm_sub_epi8(_mm_xor_si128(bytes, _mm_set1_epi8('"' ^ ' ')), _mm_set1_epi8(' ' + 1));
  return _mm_or_si128(low, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
}
// Returns a bit for each of 16 ASCII characters that must be escaped.
unsigned ascii_escapes_in(const char* at) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  return static_cast<unsigned>(_mm_movemask_epi8(mark_escapes(bytes)));
}

// Copies the last bytes before the end, fewer than 16. Reads eight at once, and writes at least eight.
void copy_tail(const char* end, std::size_t size, char* out) {
  std::uint64_t last = load8(end - 8);
  if (size >= 8) {
    std::memcpy(out, end - size, 8);
    out += size - 8;
  } else {
    last >>= (64 - 8 * size) & 63U;
  }
  std::memcpy(out, &last, sizeof last);
}

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

// Returns a bit for each of 16 or eight bytes that must be escaped or is not ASCII.
template <class Character>
unsigned special_in(__m128i bytes) {
  constexpr unsigned all = sizeof(Character) == 1 ? 0xffffU : 0xffU;
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(mark_escapes(bytes), bytes))) & all;
}

#else

unsigned ascii_escapes_in(const char* at) {
  unsigned bits = 0;
  for (unsigned i = 0; i < block; ++i) {
    const auto c = static_cast<unsigned char>(at[i]);
    bits |= (c < 0x80 && character_texts[c].size > 1 ? 1U : 0U) << i;
  }
  return bits;
}
void copy_tail(const char* end, std::size_t size, char* out) { std::memcpy(out, end - size, size); }

#endif

// Returns null for a lone surrogate. The memory from `readable` to the end must be readable. It may begin
// before the characters.
template <class Character>
char* write_characters([[maybe_unused]] const Character* readable, const Character* at, const Character* end,
                       char* out) {
  for (;;) {
#ifdef __SSE2__
    constexpr std::size_t at_once = sizeof(Character) == 1 ? 16 : 8;
    const auto left = static_cast<std::size_t>(end - at);
    unsigned special = 0;
    if (left >= at_once) {
      const __m128i bytes = narrowed(at);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
      special = special_in<Character>(bytes);
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
      special = special_in<Character>(bytes) >> (at_once - left);
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
      out = write_character(code, out);
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
bool JsonWriter::put_characters(PyObject* str, const Character* at, std::size_t size) {
  // A compact str has its fields before its characters.
  const auto* const readable = PyUnicode_IS_COMPACT(str) ? reinterpret_cast<const Character*>(str) : at;
  for (std::size_t part = 0; size > 0; at += part, size -= part) {
    part = std::min(size, slice);
    char* const out = write_characters(readable, at, at + part, room(part * longest_escape + block));
    if (out == nullptr) return false;
    out_ = out;
  }
  return true;
}

bool JsonWriter::put_str(PyObject* str) {
  const auto size = static_cast<std::size_t>(PyUnicode_GET_LENGTH(str));
  const bool fits =
      size <= slice && size * longest_escape + block + 2 < static_cast<std::size_t>(end_ - out_);
  if (!PyUnicode_IS_COMPACT_ASCII(str) || !fits) return put_other_str(str, size);
  // The characters stand after the object's fields, which are readable, too.
  const auto* at = reinterpret_cast<const char*>(reinterpret_cast<PyASCIIObject*>(str) + 1);
  const char* const end = at + size;
  char* out = out_;
  *out++ = '"';
  if (size < block) {
    if (ascii_escapes_in(end - block) >> (block - size) != 0) return put_escaped(at, end, out);
    copy_tail(end, size, out);
    out += size;
  } else {
    for (; end - at > static_cast<std::ptrdiff_t>(block); at += block, out += block) {
      if (ascii_escapes_in(at) != 0) return put_escaped(at, end, out);
      std::memcpy(out, at, block);
    }
    out -= block - (end - at);  // the last block may overlap with the one before
    if (ascii_escapes_in(end - block) != 0) return put_escaped(at, end, out + block - (end - at));
    std::memcpy(out, end - block, block);
    out += block;
  }
  *out = '"';
  out_ = out + 1;
  return true;
}

bool JsonWriter::put_escaped(const char* at, const char* end, char* out) {
  const auto* const characters = reinterpret_cast<const Py_UCS1*>(at);
  out = write_characters(characters - block, characters, characters + (end - at), out);
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
      valid = put_characters(str, PyUnicode_1BYTE_DATA(str), size);
      break;
    case PyUnicode_2BYTE_KIND:
      valid = put_characters(str, PyUnicode_2BYTE_DATA(str), size);
      break;
    default:
      valid = put_characters(str, PyUnicode_4BYTE_DATA(str), size);
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
