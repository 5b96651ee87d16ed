// simdjson's first stage checks UTF-8 and strings and lists where each token begins, 64 bytes at a time with
// SIMD. It reads within the text, so nothing is copied or padded. The second stage is ours: it goes from
// token to token and builds Python objects directly, without a tree in between.
#include "convert/fast_parser.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "convert/convert.hpp"
#include "convert/depth.hpp"
#include "convert/number_parser.hpp"
#include "convert/object_building.hpp"
#include "error/utf8.hpp"

namespace pyhost::detail {

namespace {

// The memory of the index and of the stack is kept for texts of up to this many bytes and values.
constexpr std::size_t kept_text = std::size_t{1} << 20U;
constexpr std::size_t kept_values = std::size_t{1} << 16U;
constexpr std::size_t longest_text = 0xFFFFFF00U;  // simdjson counts in 32 bits

// A list or a dict that is not complete yet.
struct Level {
  PyObject** base;  // its first value on the stack of values
  bool is_object;
};

// On a small stack, both parsers must refuse about the same depths. The strict one recurses.
constexpr std::size_t stack_per_level = 256;

// Builds the objects of one text without recursion.
class Building {
 public:
  /// `values` must have room for as many values as there are tokens, and `levels` for one more than
  /// max_depth.
  Building(std::string_view text, const std::uint32_t* index, std::uint32_t tokens, KeyCache& keys,
           PyObject** values, Level* levels, std::string& unescaped)
      : text_(text.data()),
        end_(text.data() + text.size()),
        index_(index),
        tokens_(tokens),
        keys_(keys),
        values_(values),
        levels_(levels),
        unescaped_(unescaped) {}

  /// Returns the dict of the whole text, or null.
  PyObject* whole() const {
    // Local variables stay in registers.
    const char* const text = text_;
    const std::uint32_t* token = index_;
    const std::uint32_t* const end = index_ + tokens_;
    Level* const outside = levels_;
    // If the text ends in a bracket, a token follows each key, colon, comma and scalar, and no scalar is read
    // beyond the end.
    if (tokens_ < 2 || text[token[0]] != '{') return nullptr;
    if (const char last = text[end[-1]]; last != '}' && last != ']') return nullptr;
    PyObject** top = values_;
    Level* level = outside;
    bool in_object = false;
    while (true) {
      if (in_object) {
        PyObject* name = key(text, token++);
        if (name == nullptr) return release(top);
        *top++ = name;
        if (text[*token++] != ':') return release(top);
      }
      const char first = text[*token++];
      if (first == '{' || first == '[') {
        const auto depth = static_cast<int>(level - outside);
        if (depth == max_depth || lacks_stack(depth, stack_per_level)) return release(top);
        in_object = first == '{';
        *++level = {top, in_object};
        if (text[*token] != closing(in_object)) continue;
      } else {
        PyObject* made = scalar(text, first, token - 1);
        if (made == nullptr) return release(top);
        *top++ = made;
      }
      for (char next = text[*token++]; next != ','; next = text[*token++]) {
        if (next != closing(in_object)) return release(top);
        PyObject** base = level->base;
        PyObject* made = in_object ? dict(base, top) : list(base, top);
        if (made == nullptr) return release(top);
        top = base;
        *top++ = made;
        --level;
        if (level == outside || token == end) return level == outside && token == end ? made : release(top);
        in_object = level->is_object;
      }
    }
  }

 private:
  static char closing(bool is_object) { return is_object ? '}' : ']'; }

  // Releases what was built of a text that is rejected half-way.
  PyObject* release(PyObject** top) const {
    while (top != values_) Py_XDECREF(*--top);
    return nullptr;
  }

  static PyObject* shared(PyObject* object) {
    Py_INCREF(object);
    return object;
  }

  PyObject* scalar(const char* text, char first, const std::uint32_t* token) const {
    if (first == '"') return string(text, token);
    const char* here = text + *token;
    if (first <= '9') return read_number(here, end_);
    if (first == 't') return is_literal(here, "true") ? shared(Py_True) : nullptr;
    if (first == 'f') return is_literal(here, "false") ? shared(Py_False) : nullptr;
    return is_literal(here, "null") ? shared(Py_None) : nullptr;
  }

  bool is_literal(const char* here, std::string_view word) const {
    return static_cast<std::size_t>(end_ - here) > word.size() &&
           std::memcmp(here, word.data(), word.size()) == 0 && is(here[word.size()], ends_scalar);
  }

  // Finds the text between the quotes. The closing quote is the last character before the next token, apart
  // from spaces.
  static bool quoted(const char* text, const std::uint32_t* token, std::string_view& found) {
    const char* open = text + token[0];
    const char* close = text + token[1] - 1;
    while (*close != '"') {
      if (!is(*close, space)) return false;
      --close;
    }
    found = {open + 1, static_cast<std::size_t>(close - open - 1)};
    return close != open;
  }

  PyObject* string(const char* text, const std::uint32_t* token) const {
    std::string_view raw;
    if (!quoted(text, token, raw)) return nullptr;
    return is_plain_ascii(raw) ? str_from_ascii(raw) : str(raw);
  }

  PyObject* key(const char* text, const std::uint32_t* token) const {
    std::string_view raw;
    if (text[*token] != '"' || !quoted(text, token, raw)) return nullptr;
    if (PyObject* seen = keys_.find(raw); seen != nullptr) return seen;
    return is_plain_ascii(raw) ? keys_.add(raw) : str(raw);
  }

  [[gnu::noinline]] PyObject* str(std::string_view raw) const {
    if (raw.find('\\') == std::string_view::npos) return str_from_valid(raw);
    return unescape(raw) ? str_from_valid(unescaped_) : nullptr;
  }

  bool unescape(std::string_view raw) const {
    unescaped_.clear();
    for (std::size_t from = 0; from < raw.size();) {
      const std::size_t backslash = std::min(raw.find('\\', from), raw.size());
      unescaped_.append(raw, from, backslash - from);
      from = backslash;
      if (from < raw.size() && !escape(raw, from)) return false;
    }
    return true;
  }

  bool escape(std::string_view raw, std::size_t& at) const {
    constexpr std::string_view names = "\"\\/bfnrt";
    constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
    if (at + 1 >= raw.size()) return false;
    if (const std::size_t which = names.find(raw[at + 1]); which != std::string_view::npos) {
      unescaped_ += meanings[which];
      at += 2;
      return true;
    }
    unsigned code = 0;
    if (!code_unit(raw, at, code) || (code >= 0xdc00 && code <= 0xdfff)) return false;
    if (code >= 0xd800 && code <= 0xdbff) {
      unsigned low = 0;
      if (!code_unit(raw, at, low) || low < 0xdc00 || low > 0xdfff) return false;
      code = 0x10000 + ((code - 0xd800) << 10U) + (low - 0xdc00);
    }
    append_utf8(unescaped_, code);
    return true;
  }

  static bool code_unit(std::string_view raw, std::size_t& at, unsigned& code) {
    if (raw.size() - at < 6 || raw[at] != '\\' || raw[at + 1] != 'u') return false;
    const char* digits = raw.data() + at + 2;
    const auto [after, error] = std::from_chars(digits, digits + 4, code, 16);
    at += 6;
    return error == std::errc() && after == digits + 4;
  }

  // Takes the values from the stack, unless it returns null.
  static PyObject* list(PyObject** base, PyObject** top) {
    const std::ptrdiff_t size = top - base;
    PyObject* list = PyList_New(size);
    if (list == nullptr) return nullptr;
    for (std::ptrdiff_t i = 0; i < size; ++i) PyList_SET_ITEM(list, i, base[i]);
    return list;
  }

  static PyObject* dict(PyObject** base, PyObject** top) {
    PyObject* dict = new_dict(static_cast<std::size_t>(top - base) / 2);
    if (dict == nullptr) return nullptr;
    for (PyObject** at = base; at != top; at += 2) {
      if (!add_item(dict, at[0], at[1])) {
        Py_DECREF(dict);
        std::fill(base, at + 2, nullptr);
        return nullptr;
      }
    }
    return dict;
  }

  const char* text_;
  const char* end_;
  const std::uint32_t* index_;
  std::uint32_t tokens_;
  KeyCache& keys_;
  PyObject** values_;
  Level* levels_;
  std::string& unescaped_;
};

}  // namespace

struct FastParser::Structure {
  std::unique_ptr<simdjson::internal::dom_parser_implementation> parser;
  std::size_t capacity = 0;
  std::array<Level, max_depth + 1> levels;

  bool make(std::size_t size) {
    parser.reset();
    capacity = 0;
    // The depth is 1, because the stage that uses it is not called.
    const simdjson::implementation* processor = simdjson::get_active_implementation();
    if (processor->create_dom_parser_implementation(size, 1, parser) != simdjson::SUCCESS) return false;
    capacity = size;
    return true;
  }

  bool find(std::string_view text) {
    if (text.size() > capacity && !make(std::max(text.size(), std::size_t{4096}))) return false;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
    return parser->stage1(bytes, text.size(), simdjson::stage1_mode::regular) == simdjson::SUCCESS;
  }
};

FastParser::FastParser() : structure_(std::make_unique<Structure>()) {}

FastParser::~FastParser() = default;

py::object FastParser::parse(std::string_view text, KeyCache& keys) {
  if (text.size() > longest_text || text.size() < 2) return {};
  py::object read;
  if (structure_->find(text)) {
    const simdjson::internal::dom_parser_implementation& found = *structure_->parser;
    const std::uint32_t tokens = found.n_structural_indexes;
    if (tokens > room_) {
      values_.reset(new PyObject*[tokens]);  // not initialized: unused elements take no memory
      room_ = tokens;
    }
    const GcPause without_collection;
    const Building building(text, found.structural_indexes.get(), tokens, keys, values_.get(),
                            structure_->levels.data(), unescaped_);
    read = steal(building.whole());
  }
  if (!read) PyErr_Clear();
  if (structure_->capacity > kept_text) structure_ = std::make_unique<Structure>();
  if (room_ > kept_values) {
    values_.reset();
    room_ = 0;
  }
  if (unescaped_.capacity() > kept_text) std::string().swap(unescaped_);
  return read;
}

}  // namespace pyhost::detail
