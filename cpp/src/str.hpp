// Python strs from UTF-8, and the keys that were seen before.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "python.hpp"

namespace pyhost::detail {

/// A str from UTF-8 that is known to be valid; null with Python's error set if memory ran out.
PyObject* str_from_valid(std::string_view utf8);

/// The same from ASCII.
PyObject* str_from_ascii(std::string_view ascii);

bool is_valid_utf8(std::string_view text);

/// Whether all of it is ASCII without a backslash: what JSON text holds as it is.
bool is_plain_ascii(std::string_view text);

/// Strs for the keys of objects. JSON repeats its keys: one that was seen before costs a look-up, and one
/// that was seen twice is interned, so that a module finds it by identity.
class Keys {
 public:
  Keys() = default;
  Keys(const Keys&) = delete;
  Keys& operator=(const Keys&) = delete;

  /// The str for plain ASCII that was seen before, as a new reference with its hash computed; else null, with
  /// no error set.
  PyObject* find(std::string_view key) {
    if (key.size() > longest || key.empty()) return nullptr;
    Entry& entry = entries_[slot_of(key)];
    if (entry.str == nullptr || view(entry.str) != key) return nullptr;
    if (!entry.interned) intern(entry);
    Py_INCREF(entry.str);
    return entry.str;
  }

  /// A new str for plain ASCII, remembered in the place of another; null with Python's error set if
  /// memory ran out.
  PyObject* add(std::string_view ascii);

  /// Gives up what was remembered. The caller holds the GIL; without a call all of it leaks.
  void clear() noexcept;

 private:
  static constexpr std::size_t longest = 64;
  static constexpr std::size_t slots = 2048;

  struct Entry {
    PyObject* str = nullptr;
    bool interned = false;
  };

  static std::string_view view(PyObject* ascii) {
    return {reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(ascii)),
            static_cast<std::size_t>(PyUnicode_GET_LENGTH(ascii))};
  }
  static std::size_t slot_of(std::string_view key);
  static void intern(Entry& entry);

  std::array<Entry, slots> entries_ = {};
};

}  // namespace pyhost::detail
