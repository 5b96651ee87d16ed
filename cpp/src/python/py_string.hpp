// Creates Python strs from UTF-8, and caches the keys of objects.
#pragma once

#include <array>
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

/// Returns whether the text is ASCII without backslashes, so that it is the same in a JSON string.
bool is_plain_ascii(std::string_view text);

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
    Entry& entry = entries_[slot_of(key)];
    if (entry.str == nullptr || !same(entry.str, key)) return nullptr;
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

  struct Entry {
    PyObject* str = nullptr;
    bool interned = false;
  };

  static bool same(PyObject* ascii, std::string_view key) {
    const std::size_t size = key.size();
    if (static_cast<std::size_t>(PyUnicode_GET_LENGTH(ascii)) != size) return false;
    const char* a = reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(ascii));
    const char* b = key.data();
    if (size >= 8) {
      for (std::size_t i = 0; i + 8 < size; i += 8) {
        if (load8(a + i) != load8(b + i)) return false;
      }
      return load8(a + size - 8) == load8(b + size - 8);
    }
    if (size >= 4) return load4(a) == load4(b) && load4(a + size - 4) == load4(b + size - 4);
    return a[0] == b[0] && a[size / 2] == b[size / 2] && a[size - 1] == b[size - 1];
  }

  static std::size_t slot_of(std::string_view key) {
    const char* data = key.data();
    const std::size_t size = key.size();
    std::uint64_t first = 0, last = 0;
    if (size >= 8) {
      first = load8(data);
      last = load8(data + size - 8);
      if (size > 16) first ^= load8(data + size / 2 - 4) * 3;
    } else if (size >= 4) {
      first = load4(data);
      last = load4(data + size - 4);
    } else {
      first = static_cast<unsigned char>(data[0]);
      last = std::uint64_t{static_cast<unsigned char>(data[size / 2])} << 8U |
             static_cast<unsigned char>(data[size - 1]);
    }
    const std::uint64_t mixed = ((first + size) * 0x9e3779b97f4a7c15U) ^ (last * 0xc2b2ae3d27d4eb4fU);
    return static_cast<std::size_t>((mixed ^ (mixed >> 32U)) * 0x9e3779b97f4a7c15U >> 53U);
  }

  static void intern(Entry& entry);

  std::array<Entry, slots> entries_ = {};
};

}  // namespace pyhost::detail
