// JSON text as it grows: numbers, strings and their escapes in the form that json.dumps gives them.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "convert/convert.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// A growing text, whose memory may be used again for the next one.
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

  /// As repr() has it: the shortest that reads back the same, always with a point or an exponent.
  void put(double number);

  /// In quotes, with the escapes of json.dumps(ensure_ascii=False). False, and nothing put, if it holds a
  /// lone surrogate.
  bool put_str(PyObject* str);

  std::string_view view() const { return {data_, size_}; }

  /// Empties it, and gives up memory that is not worth keeping.
  void clear() noexcept;

  /// Which integers the text may hold.
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

/// The UTF-8 of a str, which is not kept in it; false if it holds a lone surrogate.
bool append_utf8(std::string& out, PyObject* str);

}  // namespace pyhost::detail
