// simdjson's first stage checks UTF-8 and strings and lists where each token begins, 64 bytes at a time with
// SIMD. It reads within the text, so nothing is copied or padded. The second stage is ours: it goes from
// token to token and builds Python objects directly, without a tree in between.
#include "convert/fast_parser.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

#include "convert/convert.hpp"
#include "convert/decimal.hpp"
#include "convert/depth.hpp"
#include "convert/object_building.hpp"
#include "error/utf8.hpp"

namespace pyhost::detail {

namespace {

// The memory of the index and of the stack is kept for texts of up to this many bytes and values.
constexpr std::size_t kept_text = std::size_t{1} << 20U;
constexpr std::size_t kept_values = std::size_t{1} << 16U;
constexpr std::size_t longest_text = 0xFFFFFF00U;  // simdjson counts in 32 bits

enum : unsigned char { space = 1, ends_scalar = 2, digit = 4 };

constexpr std::array<unsigned char, 256> make_kinds() {
  std::array<unsigned char, 256> kinds{};
  for (const char c : std::string_view(" \t\n\r")) kinds[static_cast<unsigned char>(c)] = space | ends_scalar;
  for (const char c : std::string_view(",:[]{}")) kinds[static_cast<unsigned char>(c)] = ends_scalar;
  for (const char c : std::string_view("0123456789")) kinds[static_cast<unsigned char>(c)] = digit;
  return kinds;
}
constexpr std::array<unsigned char, 256> kinds = make_kinds();

bool are_digits(std::uint64_t bytes) {
  constexpr std::uint64_t ones = 0x0101010101010101U;
  return ((bytes & ones * 0xf0) | ((bytes + ones * 6) & ones * 0xf0) >> 4U) == ones * 0x33;
}

// Combines neighbouring digits into pairs, pairs into fours, and fours into eight digits.
std::uint64_t eight_digits(std::uint64_t bytes) {
  if constexpr (std::endian::native == std::endian::big) bytes = __builtin_bswap64(bytes);
  bytes &= 0x0f0f0f0f0f0f0f0fU;
  bytes = (bytes * 10 + (bytes >> 8U)) & 0x00ff00ff00ff00ffU;
  bytes = (bytes * 100 + (bytes >> 16U)) & 0x0000ffff0000ffffU;
  return (bytes * 10000 + (bytes >> 32U)) & 0xffffffffU;
}

bool is(char c, unsigned kind) { return (kinds[static_cast<unsigned char>(c)] & kind) != 0; }

// Builds the objects of one text. Each function that reads a value pushes it on the stack of values, or
// returns false.
class Building {
 public:
  /// `values` must have room for as many values as there are tokens.
  Building(std::string_view text, const std::uint32_t* index, std::uint32_t tokens, KeyCache& keys,
           PyObject** values, std::string& unescaped)
      : text_(text.data()),
        size_(text.size()),
        index_(index),
        tokens_(tokens),
        keys_(keys),
        bottom_(values),
        top_(values),
        unescaped_(unescaped) {}

  // Releases what was built of a text that is rejected half-way.
  ~Building() {
    while (top_ != bottom_) Py_DECREF(*--top_);
  }
  Building(const Building&) = delete;
  Building& operator=(const Building&) = delete;

  /// Returns the dict of the whole text, or null.
  PyObject* whole() {
    // If the text ends in a bracket, a bracket follows each of its scalars, so no scalar is read beyond the
    // end.
    if (tokens_ < 2 || text_[index_[0]] != '{') return nullptr;
    const char last = text_[index_[tokens_ - 1]];
    if ((last != '}' && last != ']') || !value(0) || at_ != tokens_) return nullptr;
    return *--top_;
  }

 private:
  char peek() const { return at_ < tokens_ ? text_[index_[at_]] : '\0'; }

  bool push(PyObject* object) {
    if (object == nullptr) return false;
    *top_++ = object;
    return true;
  }

  bool push_shared(PyObject* object) {
    Py_INCREF(object);
    *top_++ = object;
    return true;
  }

  bool value(int depth) {
    if (at_ >= tokens_) return false;
    const std::uint32_t here = index_[at_++];
    switch (text_[here]) {
      case '"':
        return string(here);
      case '{':
        return object(depth);
      case '[':
        return array(depth);
      case 't':
        return literal(here, "true") && push_shared(Py_True);
      case 'f':
        return literal(here, "false") && push_shared(Py_False);
      case 'n':
        return literal(here, "null") && push_shared(Py_None);
      default:
        return number(here);
    }
  }

  bool literal(std::uint32_t here, std::string_view word) const {
    return size_ - here > word.size() && std::memcmp(text_ + here, word.data(), word.size()) == 0 &&
           is(text_[here + word.size()], ends_scalar);
  }

  // Finds the text between the quotes. The closing quote is the last character before the next token, apart
  // from spaces.
  bool quoted(std::uint32_t here, std::string_view& found) const {
    if (at_ >= tokens_) return false;
    std::uint32_t close = index_[at_] - 1;
    while (is(text_[close], space)) --close;
    if (close <= here || text_[close] != '"') return false;
    found = {text_ + here + 1, close - here - 1};
    return true;
  }

  bool string(std::uint32_t here) {
    std::string_view raw;
    if (!quoted(here, raw)) return false;
    return push(is_plain_ascii(raw) ? str_from_ascii(raw) : str(raw));
  }

  bool key(std::uint32_t here) {
    std::string_view raw;
    if (!quoted(here, raw)) return false;
    if (PyObject* seen = keys_.find(raw); seen != nullptr) return push(seen);
    if (is_plain_ascii(raw)) return push(keys_.add(raw));
    return push(str(raw)) && PyObject_Hash(top_[-1]) != -1;
  }

  PyObject* str(std::string_view raw) {
    if (raw.find('\\') == std::string_view::npos) return str_from_valid(raw);
    return unescape(raw) ? str_from_valid(unescaped_) : nullptr;
  }

  bool unescape(std::string_view raw) {
    unescaped_.clear();
    for (std::size_t from = 0; from < raw.size();) {
      const std::size_t backslash = std::min(raw.find('\\', from), raw.size());
      unescaped_.append(raw, from, backslash - from);
      from = backslash;
      if (from < raw.size() && !escape(raw, from)) return false;
    }
    return true;
  }

  bool escape(std::string_view raw, std::size_t& at) {
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

  // Reads eight digits at a time. A number always ends before the end of the text, at the byte after its last
  // digit.
  void read_digits(const char*& at, std::uint64_t& number) const {
    while (text_ + size_ - at >= 8 && are_digits(load8(at))) {
      number = number * 100'000'000 + eight_digits(load8(at));
      at += 8;
    }
    for (; is(*at, digit); ++at) number = number * 10 + static_cast<unsigned>(*at - '0');
  }

  bool number(std::uint32_t here) {
    const char* first = text_ + here;
    const char* at = first;
    const bool negative = *at == '-';
    if (negative) ++at;
    const char* digits = at;
    std::uint64_t mantissa = 0;
    read_digits(at, mantissa);
    const auto whole = at - digits;
    if (whole == 0 || (*digits == '0' && whole > 1)) return false;
    if (is(*at, ends_scalar))
      return integer({first, static_cast<std::size_t>(at - first)}, mantissa, negative, whole);

    std::int64_t exponent = 0;
    std::ptrdiff_t all_digits = whole;
    if (*at == '.') {
      const char* fraction = ++at;
      read_digits(at, mantissa);
      if (at == fraction) return false;
      all_digits += at - fraction;
      exponent = fraction - at;
    }
    if (*at == 'e' || *at == 'E') {
      ++at;
      const bool minus = *at == '-';
      if (minus || *at == '+') ++at;
      const char* power = at;
      std::int64_t written = 0;
      for (; is(*at, digit); ++at)
        written = std::min<std::int64_t>(written * 10 + (*at - '0'), 1'000'000'000);
      if (at == power) return false;
      exponent += minus ? -written : written;
    }
    if (!is(*at, ends_scalar)) return false;
    return floating({first, static_cast<std::size_t>(at - first)}, mantissa, exponent, negative, all_digits);
  }

  bool integer(std::string_view literal, std::uint64_t mantissa, bool negative, std::ptrdiff_t digits) {
    if (digits <= 18) {
      const auto value = static_cast<long long>(mantissa);
      return push(PyLong_FromLongLong(negative ? -value : value));
    }
    return push(PyLong_FromString(std::string(literal).c_str(), nullptr, 10));
  }

  bool floating(std::string_view literal, std::uint64_t mantissa, std::int64_t exponent, bool negative,
                std::ptrdiff_t digits) {
    // Both operands are exact, so the one operation rounds correctly (Clinger, 1990).
    constexpr std::array<double, 23> powers{1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                            1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                            1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    double value = 0;
    if (digits <= 19 && mantissa <= std::uint64_t{1} << 53U && exponent >= -22 && exponent <= 22) {
      value = static_cast<double>(mantissa);
      value = exponent < 0 ? value / powers[static_cast<std::size_t>(-exponent)]
                           : value * powers[static_cast<std::size_t>(exponent)];
      if (negative) value = -value;
    } else {
      if (digits <= 19) value = closest_double({mantissa, exponent});
      if (digits > 19 || value < 0) {
        const auto [after, error] = std::from_chars(literal.data(), literal.data() + literal.size(), value);
        if (error != std::errc() || !std::isfinite(value)) return false;
      } else if (negative) {
        value = -value;
      }
    }
    return push(PyFloat_FromDouble(value));
  }

  bool array(int depth) {
    if (depth >= max_depth || lacks_stack(depth)) return false;
    PyObject** base = top_;
    if (peek() == ']') {
      ++at_;
    } else {
      while (true) {
        if (!value(depth + 1)) return false;
        const char next = peek();
        ++at_;
        if (next == ']') break;
        if (next != ',') return false;
      }
    }
    const std::ptrdiff_t size = top_ - base;
    PyObject* list = PyList_New(size);
    if (list == nullptr) return false;
    for (std::ptrdiff_t i = 0; i < size; ++i) PyList_SET_ITEM(list, i, base[i]);
    top_ = base;
    return push(list);
  }

  bool object(int depth) {
    if (depth >= max_depth || lacks_stack(depth)) return false;
    PyObject** base = top_;
    if (peek() == '}') {
      ++at_;
    } else {
      while (true) {
        if (peek() != '"') return false;
        const std::uint32_t here = index_[at_++];
        if (!key(here) || peek() != ':') return false;
        ++at_;
        if (!value(depth + 1)) return false;
        const char next = peek();
        ++at_;
        if (next == '}') break;
        if (next != ',') return false;
      }
    }
    PyObject* dict = new_dict(static_cast<std::size_t>(top_ - base) / 2);
    if (dict == nullptr) return false;
    for (PyObject** at = base; at != top_; at += 2) {
      if (PyDict_SetItem(dict, at[0], at[1]) != 0) {
        Py_DECREF(dict);
        return false;
      }
    }
    while (top_ != base) Py_DECREF(*--top_);
    return push(dict);
  }

  const char* text_;
  std::size_t size_;
  const std::uint32_t* index_;
  std::uint32_t tokens_;
  std::uint32_t at_ = 0;
  KeyCache& keys_;
  PyObject** bottom_;
  PyObject** top_;
  std::string& unescaped_;
};

}  // namespace

struct FastParser::Structure {
  std::unique_ptr<simdjson::internal::dom_parser_implementation> parser;
  std::size_t capacity = 0;

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
    Building building(text, found.structural_indexes.get(), tokens, keys, values_.get(), unescaped_);
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
