// Writes JSON text: numbers, strings and their escapes in the same form as json.dumps.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "convert/convert.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// A growing text. Its memory is used again for the next text.
class JsonWriter {
 public:
  JsonWriter() = default;
  ~JsonWriter();
  JsonWriter(const JsonWriter&) = delete;
  JsonWriter& operator=(const JsonWriter&) = delete;

  void put(char c) {
    *room(1) = c;
    ++size_;
  }
  void put(std::string_view text) {
    std::memcpy(room(text.size()), text.data(), text.size());
    size_ += text.size();
  }
  void put(long long number);

  /// Writes the number as repr() does: the shortest form that reads back the same, always with a point or an
  /// exponent.
  void put(double number);

  /// Writes the str in quotes, with the escapes of json.dumps(ensure_ascii=False). Returns false, and writes
  /// nothing, if it contains a lone surrogate.
  bool put_str(PyObject* str);

  std::string_view view() const { return {data_, size_}; }

  /// Clears the text. Frees its memory if that is unusually large.
  void clear() noexcept;

  /// The integers that the text may contain.
  Integers integers() const noexcept { return integers_; }
  void allow(Integers integers) noexcept { integers_ = integers; }

 private:
  char* room(std::size_t wanted) {
    if (room_ - size_ < wanted) grow(wanted);
    return data_ + size_;
  }
  void grow(std::size_t wanted);
  void put_ascii(const char* at, std::size_t size);
  template <class Character>
  bool put_characters(const Character* at, std::size_t size);

  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t room_ = 0;
  Integers integers_ = Integers::Any;
};

/// Appends the UTF-8 of the str, without caching it in the str. Returns false if the str contains a lone
/// surrogate.
bool append_utf8(std::string& out, PyObject* str);

}  // namespace pyhost::detail
