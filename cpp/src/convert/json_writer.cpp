// Writes 16 bytes at a time with SSE2, and never depends on the locale.
#include "convert/json_writer.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <new>

#include "convert/decimal.hpp"
#include "error/utf8.hpp"
#include "python/py_string.hpp"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace pyhost::detail {

namespace {

constexpr std::size_t kept_room = std::size_t{1} << 20U;
constexpr std::size_t slice = 4096;        // characters for which memory is reserved at once
constexpr std::size_t longest_escape = 6;  // \u001f; no other character takes more bytes
constexpr std::size_t written_at_once = 16;

// For each byte: 0 if it needs no escape, otherwise the letter of its escape. After u, four digits follow.
constexpr std::array<char, 256> make_escapes() {
  std::array<char, 256> escapes{};
  for (std::size_t i = 0; i < 0x20; ++i) escapes[i] = 'u';
  escapes['\b'] = 'b';
  escapes['\f'] = 'f';
  escapes['\n'] = 'n';
  escapes['\r'] = 'r';
  escapes['\t'] = 't';
  escapes['"'] = '"';
  escapes['\\'] = '\\';
  return escapes;
}
constexpr std::array<char, 256> escapes = make_escapes();

char* write_escaped(unsigned char c, char* out) {
  constexpr std::string_view hex = "0123456789abcdef";
  const char escape = escapes[c];
  if (escape == 0) {
    *out++ = static_cast<char>(c);
    return out;
  }
  *out++ = '\\';
  *out++ = escape;
  if (escape != 'u') return out;
  *out++ = '0';
  *out++ = '0';
  *out++ = hex[c >> 4U];
  *out++ = hex[c & 0xfU];
  return out;
}

// Returns whether none of eight ASCII bytes needs an escape. Borrows may only cause a false "no".
bool is_plain(std::uint64_t word) {
  constexpr std::uint64_t ones = 0x0101010101010101U;
  const auto zero_in = [](std::uint64_t bytes) { return (bytes - ones) & ~bytes; };
  const std::uint64_t marked =
      (word - ones * 0x20) | zero_in(word ^ (ones * '"')) | zero_in(word ^ (ones * '\\'));
  return (marked & (ones * 0x80)) == 0;
}

char* write_ascii(const char* at, std::size_t size, char* out) {
  const char* end = at + size;
#ifdef __SSE2__
  while (end - at >= 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
    const __m128i marked = _mm_or_si128(
        _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20)),
        _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'))));
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(marked));
    const int plain = mask == 0 ? 16 : std::countr_zero(mask);
    at += plain;
    out += plain;
    if (mask != 0) out = write_escaped(static_cast<unsigned char>(*at++), out);
  }
#endif
  for (; end - at >= 8 && is_plain(load8(at)); at += 8, out += 8) std::memcpy(out, at, 8);
  if (end - at >= 4 && is_plain(load4(at) | std::uint64_t{0x2020202020202020U} << 32U)) {
    std::memcpy(out, at, 4);
    at += 4;
    out += 4;
  }
  for (; at != end; ++at) out = write_escaped(static_cast<unsigned char>(*at), out);
  return out;
}

// Writes eight digits at once: splits the number into halves of four digits, then pairs, then single digits,
// each in a lane of one word. The multiplications replace divisions by 100 and 10, and are exact for the
// values of a lane.
void write_eight(std::uint64_t number, char* out) {
  const std::uint64_t halves = number / 10000 | number % 10000 << 32U;
  const std::uint64_t upper_pairs = (halves * 10486 >> 20U) & 0x0000007f0000007fU;
  const std::uint64_t pairs = (halves - upper_pairs * 100) << 16U | upper_pairs;
  const std::uint64_t tens = (pairs * 103 >> 10U) & 0x000f000f000f000fU;
  std::uint64_t digits = ((pairs - tens * 10) << 8U | tens) | 0x3030303030303030U;
  if constexpr (std::endian::native == std::endian::big) digits = __builtin_bswap64(digits);
  std::memcpy(out, &digits, sizeof digits);
}

constexpr std::size_t digits_at_once = 24;

// Writes the number as repr() does: from 0.0001 to 9999999999999998.0 with a point, otherwise with an
// exponent. Copies a fixed number of bytes, up to twice as many as needed, because that is faster.
char* write_decimal(double number, char* out) {
  constexpr std::uint64_t eight = 100'000'000;
  const Decimal decimal = shortest_decimal(number);
  std::array<char, digits_at_once * 2 + 16> padded;  // zeros after the digits are copied, too
  padded.fill('0');
  write_eight(decimal.digits / (eight * eight), padded.data());
  write_eight(decimal.digits / eight % eight, padded.data() + 8);
  write_eight(decimal.digits % eight, padded.data() + 16);
  const char* digits = padded.data();
  while (*digits == '0') ++digits;
  const char* end = padded.data() + digits_at_once;
  const std::ptrdiff_t before_point = end - digits + decimal.exponent;
  while (end[-1] == '0') --end;
  const std::ptrdiff_t count = end - digits;

  if (before_point > 16 || before_point <= -4) {
    *out++ = *digits;
    if (count > 1) {
      *out = '.';
      std::memcpy(out + 1, digits + 1, digits_at_once);
      out += count;
    }
    const std::ptrdiff_t power = before_point - 1;
    *out++ = 'e';
    *out++ = power < 0 ? '-' : '+';
    const std::ptrdiff_t size = std::abs(power);
    if (size < 10) *out++ = '0';
    return std::to_chars(out, out + 3, size).ptr;
  }
  if (before_point <= 0) {
    std::memcpy(out, "0.0000", 6);
    out += 2 - before_point;
    std::memcpy(out, digits, digits_at_once);
    return out + count;
  }
  // The zeros behind the digits fill the places before the point.
  std::memcpy(out, digits, digits_at_once);
  out[before_point] = '.';
  std::memcpy(out + before_point + 1, digits + before_point, digits_at_once);
  return out + before_point + 1 + std::max(count - before_point, std::ptrdiff_t{1});
}

}  // namespace

JsonWriter::~JsonWriter() { std::free(data_); }

void JsonWriter::clear() noexcept {
  size_ = 0;
  if (room_ <= kept_room) return;
  std::free(data_);
  data_ = nullptr;
  room_ = 0;
}

void JsonWriter::grow(std::size_t wanted) {
  const std::size_t larger = std::max(size_ + wanted, room_ + room_ / 2 + 1024);
  // realloc moves large blocks without copying them.
  auto* moved = static_cast<char*>(std::realloc(data_, larger));
  if (moved == nullptr) throw std::bad_alloc();
  data_ = moved;
  room_ = larger;
}

void JsonWriter::put(long long number) {
  constexpr std::uint64_t eight = 100'000'000;
  char* const begin = room(24);
  char* out = begin;
  if (number < 0) *out++ = '-';
  const auto size = number < 0 ? -static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number);
  if (size < eight * eight) {
    std::array<char, 32> padded;
    write_eight(size / eight, padded.data());
    write_eight(size % eight, padded.data() + 8);
    const char* digits = padded.data() + (size < eight ? 8 : 0);
    const char* const last = padded.data() + 15;
    while (*digits == '0' && digits != last) ++digits;
    std::memcpy(out, digits, 16);
    out += last + 1 - digits;
  } else {
    out = std::to_chars(out, begin + 24, size).ptr;
  }
  size_ += static_cast<std::size_t>(out - begin);
}

void JsonWriter::put(double number) {
  char* const begin = room(digits_at_once * 3);
  char* out = begin;
  if (std::signbit(number)) *out++ = '-';
  const double size = std::abs(number);
  if (size != 0) {
    out = write_decimal(size, out);
  } else {
    std::memcpy(out, "0.0", 3);
    out += 3;
  }
  size_ += static_cast<std::size_t>(out - begin);
}

void JsonWriter::put_ascii(const char* at, std::size_t size) {
  while (size > 0) {
    const std::size_t part = std::min(size, slice);
    char* out = room(part * longest_escape + written_at_once);
    size_ += static_cast<std::size_t>(write_ascii(at, part, out) - out);
    at += part;
    size -= part;
  }
}

template <class Character>
bool JsonWriter::put_characters(const Character* at, std::size_t size) {
  while (size > 0) {
    const std::size_t part = std::min(size, slice);
    char* const begin = room(part * longest_escape);
    char* out = begin;
    for (const Character* end = at + part; at != end; ++at) {
      const std::uint32_t code = *at;
      out = code < 0x80 ? write_escaped(static_cast<unsigned char>(code), out) : write_utf8(code, out);
      if (out == nullptr) return false;
    }
    size_ += static_cast<std::size_t>(out - begin);
    size -= part;
  }
  return true;
}

bool JsonWriter::put_str(PyObject* str) {
  const std::size_t before = size_;
  const auto size = static_cast<std::size_t>(PyUnicode_GET_LENGTH(str));
  if (PyUnicode_IS_ASCII(str) && size <= slice) {
    char* const begin = room(size * longest_escape + written_at_once + 2);
    *begin = '"';
    char* out = write_ascii(reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(str)), size, begin + 1);
    *out++ = '"';
    size_ += static_cast<std::size_t>(out - begin);
    return true;
  }
  put('"');
  bool valid = true;
  if (PyUnicode_IS_ASCII(str)) {
    put_ascii(reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(str)), size);
  } else if (PyUnicode_KIND(str) == PyUnicode_1BYTE_KIND) {
    valid = put_characters(PyUnicode_1BYTE_DATA(str), size);
  } else if (PyUnicode_KIND(str) == PyUnicode_2BYTE_KIND) {
    valid = put_characters(PyUnicode_2BYTE_DATA(str), size);
  } else {
    valid = put_characters(PyUnicode_4BYTE_DATA(str), size);
  }
  put('"');
  if (!valid) size_ = before;
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
