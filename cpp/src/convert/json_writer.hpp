// Writes JSON text: numbers, strings and their escapes in the same form as json.dumps.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "convert/convert.hpp"
#include "convert/decimal.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// A growing text. The memory of a small text is used again for the next one.
class JsonWriter {
 public:
  JsonWriter() = default;
  JsonWriter(const JsonWriter&) = delete;
  JsonWriter& operator=(const JsonWriter&) = delete;

  void put(char c) {
    char* const out = room(1);
    *out = c;
    out_ = out + 1;
  }
  void put(std::string_view text) {
    std::memcpy(room(text.size()), text.data(), text.size());
    out_ += text.size();
  }
  void put(long long number) { out_ = write_integer(number, room(number_room)); }

  void put(double number) { out_ = write_decimal(number, room(number_room)); }

  /// Writes the str in quotes, with the escapes of json.dumps(ensure_ascii=False). Returns false, and writes
  /// nothing, if it contains a lone surrogate.
  bool put_str(PyObject* str);

  /// Writes one character after anything else. Every other function leaves room for it.
  void put_separator(char c) { *out_++ = c; }

  /// Clears the text. Frees its memory if that is unusually large.
  void clear() noexcept;

  /// Returns the text, and clears it. A large text is not copied.
  std::string take();

  /// The integers that the text may contain.
  Integers integers() const noexcept { return integers_; }
  void allow(Integers integers) noexcept { integers_ = integers; }

 private:
  char* room(std::size_t wanted) {
    if (static_cast<std::size_t>(end_ - out_) <= wanted) grow(wanted);
    return out_;
  }
  [[gnu::cold]] void grow(std::size_t wanted);
  [[gnu::noinline]] bool put_other_str(PyObject* str, std::size_t size);
  [[gnu::noinline]] bool put_escaped(const char* at, const char* end, char* out);
  template <class Character>
  bool put_characters(PyObject* str, const Character* at, std::size_t size);

  std::string memory_;
  char* out_ = memory_.data();
  char* end_ = out_;
  std::size_t expected_ = 0;  // the memory that the next text will need, if it is like the last one
  Integers integers_ = Integers::Any;
};

/// Appends the UTF-8 of the str, without caching it in the str. Returns false if the str contains a lone
/// surrogate.
bool append_utf8(std::string& out, PyObject* str);

}  // namespace pyhost::detail
