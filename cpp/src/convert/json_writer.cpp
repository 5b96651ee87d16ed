// Writes numbers and strs as JSON text, whatever the locale is.
#include "convert/json_writer.hpp"

#include <algorithm>
#include <array>

#include "convert/json_characters.hpp"

namespace pyhost::detail {

namespace {

constexpr std::size_t copied_room = std::size_t{16}
                                    << 10U;  // a text up to this size is copied out of the memory
constexpr std::size_t kept_room = 4 * copied_room;
constexpr std::size_t filled_at_once = 1536;
constexpr std::size_t slice = 1024;        // characters for which memory is reserved at once
constexpr std::size_t worth_avx512 = 128;  // characters

// Returns where the readable memory before the characters begins. A compact str has its fields there.
template <class Character>
const Character* readable_before(PyObject* str, const Character* at) {
  return PyUnicode_IS_COMPACT(str) ? reinterpret_cast<const Character*>(str) : at;
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
  const auto* const readable = readable_before(str, at);
  for (std::size_t part = 0; size > 0; at += part, size -= part) {
    part = std::min(size, slice);
    char* const out =
        write_characters<true>(readable, at, at + part, room(part * longest_escape + written_beyond));
    if (out == nullptr) return false;
    out_ = out;
  }
  return true;
}

bool JsonWriter::put_str(PyObject* str) {
  const auto size = static_cast<std::size_t>(PyUnicode_GET_LENGTH(str));
  const bool fits =
      size <= slice && size * longest_escape + written_beyond + 2 < static_cast<std::size_t>(end_ - out_);
  if (!PyUnicode_IS_COMPACT_ASCII(str) || !fits) return put_other_str(str, size);
  // The characters stand after the object's fields, which are readable, too.
  const auto* at = reinterpret_cast<const char*>(reinterpret_cast<PyASCIIObject*>(str) + 1);
  const char* const end = at + size;
  char* out = out_;
  *out++ = '"';
  constexpr std::size_t block = ascii_block;
  if (size < block) {
    if (ascii_escapes_in(end - block) >> (block - size) != 0) return put_escaped(at, end, out);
    copy_tail(end, size, out);
    out += size;
  } else {
    if (size >= worth_avx512 && has_avx512) return put_escaped(at, end, out);
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
  out = write_characters<true>(characters - ascii_block, characters, characters + (end - at), out);
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
bool append_characters(std::string& out, PyObject* str, const Character* at, std::size_t size) {
  constexpr std::size_t at_once = 256, longest = 4;
  std::array<char, at_once * longest + written_beyond> utf8;
  const auto* const readable = readable_before(str, at);
  for (std::size_t part = 0; size > 0; at += part, size -= part) {
    part = std::min(size, at_once);
    const char* const end = write_characters<false>(readable, at, at + part, utf8.data());
    if (end == nullptr) return false;
    out.append(utf8.data(), static_cast<std::size_t>(end - utf8.data()));
  }
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
      return append_characters(out, str, PyUnicode_1BYTE_DATA(str), size);
    case PyUnicode_2BYTE_KIND:
      return append_characters(out, str, PyUnicode_2BYTE_DATA(str), size);
    default:
      return append_characters(out, str, PyUnicode_4BYTE_DATA(str), size);
  }
}

}  // namespace pyhost::detail
