// Creates Python strs from UTF-8, and caches the keys of objects.
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "python/python.hpp"

namespace pyhost::detail {

/// Returns a str from valid UTF-8. Returns null with Python's error set if memory runs out.
PyObject* str_from_valid(std::string_view utf8);

/// Like str_from_valid(), from ASCII.
PyObject* str_from_ascii(std::string_view ascii);

bool is_valid_utf8(std::string_view text);

/// Return eight or four bytes as a number. They need not be aligned.
inline std::uint64_t load8(const char* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}
inline std::uint32_t load4(const char* at) {
  std::uint32_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

/// Like load8(), with the first byte in the lowest eight bits.
inline std::uint64_t load8_in_order(const char* at) {
  const std::uint64_t word = load8(at);
  return std::endian::native == std::endian::big ? __builtin_bswap64(word) : word;
}

/// Returns whether the text is ASCII without backslashes, so that it is the same in a JSON string.
inline bool is_plain_ascii(std::string_view text) {
  constexpr std::uint64_t ones = 0x0101010101010101U;
  // Subtracting one from a byte sets its high bit if it was zero. Bytes above a zero byte may be marked, too.
  const auto is_plain = [](std::uint64_t word) {
    const std::uint64_t without_backslashes = word ^ ones * '\\';
    return ((word | (without_backslashes - ones)) & ones * 0x80) == 0;
  };
  const char* at = text.data();
  const std::size_t size = text.size();
  if (size < 4) {
    return std::ranges::none_of(text,
                                [](char c) { return static_cast<unsigned char>(c) >= 0x80 || c == '\\'; });
  }
  if (size < 8) return is_plain(load4(at) | std::uint64_t{load4(at + size - 4)} << 32U);
#ifdef __SSE2__
  if (size >= 16) {
    const auto is_plain_16 = [](const char* from) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
      return _mm_movemask_epi8(_mm_or_si128(bytes, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')))) == 0;
    };
    const char* last = at + size - 16;
    for (; at < last; at += 16) {
      if (!is_plain_16(at)) return false;
    }
    return is_plain_16(last);
  }
#endif
  const char* last = at + size - 8;
  for (; at < last; at += 8) {
    if (!is_plain(load8(at))) return false;
  }
  return is_plain(load8(last));
}

/// A cache of strs for the keys of objects. JSON repeats its keys. A known key costs one look-up. From its
/// second use on a key is interned, so that a module finds it by identity.
class KeyCache {
 public:
  KeyCache() = default;
  KeyCache(const KeyCache&) = delete;
  KeyCache& operator=(const KeyCache&) = delete;

  /// Returns the cached str for a plain ASCII key, as a new reference with its hash computed. Returns null,
  /// without a Python error, if the key is not cached.
  PyObject* find(std::string_view key) {
    if (key.size() > longest || key.empty()) return nullptr;
    const Ends ends = ends_of(key);
    Entry& entry = entries_[slot_of(key, ends)];
    if (entry.size != key.size() || entry.ends.first != ends.first || entry.ends.last != ends.last)
      return nullptr;
    if (key.size() > sizeof ends && !same_middle(entry, key)) return nullptr;
    if (!entry.interned) intern(entry);
    Py_INCREF(entry.str);
    return entry.str;
  }

  /// Returns a new str for a plain ASCII key, and caches it, which may replace another key. Returns null with
  /// Python's error set if memory runs out.
  PyObject* add(std::string_view ascii);

  /// Releases the cached strs. Without this call they leak. The caller holds the GIL.
  void clear() noexcept;

 private:
  static constexpr std::size_t longest = 64;
  static constexpr std::size_t slots = 2048;

  // The first and the last bytes of a key, which overlap or meet in keys of up to 16 bytes.
  struct Ends {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
  };

  struct Entry {
    PyObject* str = nullptr;
    Ends ends;
    std::uint32_t size = 0;  // of the key; zero if the entry is empty
    bool interned = false;
  };

  static Ends ends_of(std::string_view key) {
    const char* data = key.data();
    const std::size_t size = key.size();
    if (size >= 8) return {load8(data), load8(data + size - 8)};
    if (size >= 4) return {load4(data), load4(data + size - 4)};
    return {static_cast<unsigned char>(data[0]),
            std::uint64_t{static_cast<unsigned char>(data[size / 2])} << 8U |
                static_cast<unsigned char>(data[size - 1])};
  }

  // Compares what is between the ends.
  static bool same_middle(const Entry& entry, std::string_view key) {
    const auto* a = reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(entry.str));
    for (std::size_t i = 8; i + 8 < key.size(); i += 8) {
      if (load8(a + i) != load8(key.data() + i)) return false;
    }
    return true;
  }

  static std::size_t slot_of(std::string_view key, const Ends& ends) {
    std::uint64_t first = ends.first + key.size();
    if (key.size() > sizeof ends) first ^= load8(key.data() + key.size() / 2 - 4) * 3;
    // All bits affect the highest ones of this sum.
    const std::uint64_t mixed = first * 0x9e3779b97f4a7c15U + ends.last * 0xc2b2ae3d27d4eb4fU;
    return static_cast<std::size_t>(mixed >> 53U);
  }

  static void intern(Entry& entry);

  std::array<Entry, slots> entries_ = {};
};

}  // namespace pyhost::detail
