// A strict parser of JSON text. It builds the objects while it reads.
#include "convert/strict_parser.hpp"

#include <charconv>
#include <cmath>
#include <string>

#include "convert/convert.hpp"
#include "convert/refusals.hpp"
#include "error/json_place.hpp"
#include "error/utf8.hpp"

namespace pyhost::detail {

namespace {

py::object string(std::string_view utf8, const JsonPlace& place) {
  py::object str = steal(PyUnicode_DecodeUTF8(utf8.data(), static_cast<Py_ssize_t>(utf8.size()), nullptr));
  if (!str && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError) != 0) {
    PyErr_Clear();
    refuse_state(place, "is not valid UTF-8");
  }
  return checked(str.release().ptr(), place);
}

py::object big_integer(std::string_view digits, const JsonPlace& place) {
  return checked(PyLong_FromString(std::string(digits).c_str(), nullptr, 10), place);
}

// Reads one text from beginning to end. Its errors have line, column and reason.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : begin_(text.data()), at_(begin_), end_(begin_ + text.size()) {}

  py::object whole() {
    if (std::string_view(begin_, static_cast<std::size_t>(end_ - begin_)).starts_with("\xef\xbb\xbf")) {
      fail("a byte order mark, which JSON text must not begin with");
    }
    const JsonPlace top;
    py::object object = value(top);
    skip_space();
    if (at_ != end_) fail("more text after the value");
    return object;
  }

 private:
  [[noreturn]] void fail(const std::string& found) const {
    int line = 1;
    const char* line_begin = begin_;
    for (const char* c = begin_; c != at_; ++c) {
      if (*c == '\n') {
        ++line;
        line_begin = c + 1;
      }
    }
    throw Error({.kind = ErrorKind::InvalidState,
                 .phase = Phase::Create,
                 .message = "the state is not JSON: line " + std::to_string(line) + ", column " +
                            std::to_string(at_ - line_begin + 1) + ": found " + found});
  }

  [[noreturn]] void fail_expecting(std::string_view what) const {
    if (at_ == end_) fail("the end of the text instead of " + std::string(what));
    const auto byte = static_cast<unsigned char>(*at_);
    if (byte < 0x20 || byte == 0x7f) fail("a control character instead of " + std::string(what));
    const char* rest = at_ + 1;
    while (rest != end_ && !begins_character(*rest)) ++rest;
    // Invalid UTF-8 must not get into a message.
    const bool shown = byte < 0x80 || rest - at_ > 1;
    fail((shown ? "'" + std::string(at_, rest) + "'" : std::string("a byte that is not UTF-8")) +
         " instead of " + std::string(what));
  }

  void skip_space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }

  bool take(char wanted) {
    if (at_ == end_ || *at_ != wanted) return false;
    ++at_;
    return true;
  }

  py::object value(const JsonPlace& place) {
    skip_space();
    if (at_ == end_) fail_expecting("a value");
    switch (*at_) {
      case '{':
        return object(place);
      case '[':
        return array(place);
      case '"':
        return text(place);
      case 't':
        return literal("true", Py_True);
      case 'f':
        return literal("false", Py_False);
      case 'n':
        return literal("null", Py_None);
      default:
        return number(place);
    }
  }

  py::object literal(std::string_view word, PyObject* meaning) {
    if (!std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(word))
      fail_expecting("a value");
    at_ += word.size();
    return borrow(meaning);
  }

  py::object object(const JsonPlace& place) {
    check_depth(place);
    ++at_;
    py::object dict = checked(PyDict_New(), place);
    skip_space();
    if (take('}')) return dict;
    while (true) {
      skip_space();
      if (at_ == end_ || *at_ != '"') fail_expecting("a key in double quotes");
      const py::object key = text(place);
      Py_ssize_t size = 0;
      const char* utf8 = PyUnicode_AsUTF8AndSize(key.ptr(), &size);
      if (utf8 == nullptr) refuse_with_python(place);
      const JsonPlace below = place.in_object({utf8, static_cast<std::size_t>(size)});
      skip_space();
      if (!take(':')) fail_expecting("':'");
      const py::object item = value(below);
      if (PyDict_SetItem(dict.ptr(), key.ptr(), item.ptr()) != 0) refuse_with_python(below);
      skip_space();
      if (take('}')) return dict;
      if (!take(',')) fail_expecting("',' or '}'");
    }
  }

  py::object array(const JsonPlace& place) {
    check_depth(place);
    ++at_;
    py::object list = checked(PyList_New(0), place);
    skip_space();
    if (take(']')) return list;
    for (std::size_t i = 0;; ++i) {
      const JsonPlace below = place.in_array(i);
      const py::object item = value(below);
      if (PyList_Append(list.ptr(), item.ptr()) != 0) refuse_with_python(below);
      skip_space();
      if (take(']')) return list;
      if (!take(',')) fail_expecting("',' or ']'");
    }
  }

  py::object text(const JsonPlace& place) {
    const char* first = ++at_;
    std::string unescaped;
    while (true) {
      if (at_ == end_) fail("the end of the text inside a string");
      if (*at_ == '"') break;
      if (static_cast<unsigned char>(*at_) < 0x20)
        fail("a control character inside a string, where JSON wants an escape");
      if (*at_ == '\\') {
        unescaped.append(first, at_);
        escape(unescaped);
        first = at_;
      } else {
        ++at_;
      }
    }
    const std::string_view rest(first, static_cast<std::size_t>(at_ - first));
    ++at_;
    return string(unescaped.empty() ? rest : unescaped.append(rest), place);
  }

  void escape(std::string& out) {
    const char* backslash = at_++;
    constexpr std::string_view names = "\"\\/bfnrt";
    constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
    if (at_ == end_) fail("the end of the text inside a string");
    if (const std::size_t which = names.find(*at_); which != std::string_view::npos) {
      out += meanings[which];
      ++at_;
      return;
    }
    unsigned code = code_unit(backslash);
    if (code >= 0xdc00 && code <= 0xdfff) surrogate(backslash);
    if (code >= 0xd800 && code <= 0xdbff) {
      if (!take('\\')) surrogate(backslash);
      const unsigned low = code_unit(backslash);
      if (low < 0xdc00 || low > 0xdfff) surrogate(backslash);
      code = 0x10000 + ((code - 0xd800) << 10U) + (low - 0xdc00);
    }
    append_utf8(out, code);
  }

  [[noreturn]] void surrogate(const char* backslash) {
    at_ = backslash;
    fail("half of a surrogate pair, which is not a character");
  }

  // Returns the code of the four hex digits after \u. at_ is on the u.
  unsigned code_unit(const char* backslash) {
    unsigned code = 0;
    if (end_ - at_ >= 5 && *at_ == 'u') {
      const auto [after, error] = std::from_chars(at_ + 1, at_ + 5, code, 16);
      if (error == std::errc() && after == at_ + 5) {
        at_ = after;
        return code;
      }
    }
    at_ = backslash;
    fail("an escape that JSON does not have");
  }

  bool digits() {
    const char* first = at_;
    while (at_ != end_ && *at_ >= '0' && *at_ <= '9') ++at_;
    return at_ != first;
  }

  py::object number(const JsonPlace& place) {
    const char* first = at_;
    bool whole = true;
    take('-');
    if (!take('0') && !digits()) {
      at_ = first;
      fail_expecting("a value");
    }
    if (take('.')) {
      whole = false;
      if (!digits()) fail_expecting("a digit");
    }
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      whole = false;
      ++at_;
      if (!take('+')) take('-');
      if (!digits()) fail_expecting("a digit");
    }
    const std::string_view literal(first, static_cast<std::size_t>(at_ - first));
    return whole ? integer(literal, place) : floating(literal, place);
  }

  static py::object integer(std::string_view literal, const JsonPlace& place) {
    std::int64_t small = 0;
    const auto [after, error] = std::from_chars(literal.data(), literal.data() + literal.size(), small);
    if (error == std::errc()) return checked(PyLong_FromLongLong(small), place);
    return big_integer(literal, place);
  }

  static py::object floating(std::string_view literal, const JsonPlace& place) {
    // strtod would use the locale of the application.
    const double number = PyOS_string_to_double(std::string(literal).c_str(), nullptr, nullptr);
    if (!std::isfinite(number)) refuse_state(place, "is a number beyond the range of a float");
    return checked(PyFloat_FromDouble(number), place);
  }

  const char* begin_;
  const char* at_;
  const char* end_;
};

}  // namespace

py::object parse_strictly(std::string_view text) { return Scanner(text).whole(); }

}  // namespace pyhost::detail
