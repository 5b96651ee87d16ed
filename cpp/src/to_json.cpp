// Python -> JSON: one walk and one set of rules, into a Json or into text.
#include <cmath>
#include <cstring>

#include "convert.hpp"
#include "enter.hpp"
#include "json_place.hpp"
#include "pyhost/error.hpp"

namespace pyhost::detail {

namespace {

// The containers around a value, so that one that holds itself is told from one that is merely deep.
struct Container {
  const Container* around;
  PyObject* object;
};

[[noreturn]] void refuse(const JsonPlace& place, std::string_view problem, std::string hint = {}) {
  std::string at = pointer(place);
  std::string message = in_words("the result", at) + " " + std::string(problem);
  throw Error({.kind = ErrorKind::InvalidResult,
               .phase = Phase::Result,
               .message = std::move(message),
               .pointer = std::move(at),
               .hint = std::move(hint)});
}

// Valid while the str lives. Fails on lone surrogates only.
std::string_view utf8(PyObject* str, const JsonPlace& place, std::string_view what) {
  Py_ssize_t size = 0;
  const char* data = PyUnicode_AsUTF8AndSize(str, &size);
  if (data == nullptr) {
    PyErr_Clear();
    refuse(place, std::string(what) + " with a lone surrogate, which is no character");
  }
  return {data, static_cast<std::size_t>(size)};
}

// A Json fills in place.

void put_null(Json& out) { out = nullptr; }
void put_bool(Json& out, bool value) { out = value; }
void put_float(Json& out, double value, const JsonPlace& /*place*/) { out = value; }
void put_string(Json& out, std::string_view text) { out = text; }

void put_int(Json& out, PyObject* object, const JsonPlace& place) {
  int overflow = 0;
  const long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
  if (overflow == 0) {
    out = value;
    return;
  }
  const unsigned long long large = overflow > 0 ? PyLong_AsUnsignedLongLong(object) : 0;
  if (overflow < 0 || PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    refuse(place, "is an integer beyond 64 bits, which Json cannot hold",
           "run_text() gives integers of any size that Python itself will write");
  }
  out = large;
}

void begin_array(Json& out, Py_ssize_t size) { out = Json::array_t(static_cast<std::size_t>(size)); }
Json& next_element(Json& out, std::size_t i) { return out[i]; }
void end_array(Json& /*out*/) {}
void begin_object(Json& out) { out = Json::object(); }
Json& next_value(Json& out, std::string_view key, bool /*first*/) { return out[std::string(key)]; }
void end_object(Json& /*out*/) {}

// Text grows at its end.

void put_null(std::string& out) { out += "null"; }
void put_bool(std::string& out, bool value) { out += value ? "true" : "false"; }

void put_owned(std::string& out, char* text, const JsonPlace& place) {
  if (text == nullptr) refuse(place, "cannot be written: " + one_line(take_exception()));
  out += text;
  PyMem_Free(text);
}

void put_float(std::string& out, double value, const JsonPlace& place) {
  // repr()'s own form: the shortest that reads back the same, always with a point or an exponent.
  put_owned(out, PyOS_double_to_string(value, 'r', 0, Py_DTSF_ADD_DOT_0, nullptr), place);
}

void put_string(std::string& out, std::string_view text) {
  constexpr std::string_view hex = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += "\\u00";
          out += hex[static_cast<unsigned char>(c) >> 4U];
          out += hex[static_cast<unsigned char>(c) & 0xfU];
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

void put_int(std::string& out, PyObject* object, const JsonPlace& place) {
  int overflow = 0;
  const long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
  if (overflow == 0) {
    out += std::to_string(value);
    return;
  }
  // int's own repr, past whatever a subclass of int says of itself.
  const py::object digits = own(PyLong_Type.tp_repr(object));
  if (!digits) refuse(place, "is an integer that cannot be written: " + one_line(take_exception()));
  out += utf8(digits.ptr(), place, "is an integer");
}

void begin_array(std::string& out, Py_ssize_t /*size*/) { out += '['; }
std::string& next_element(std::string& out, std::size_t i) {
  if (i > 0) out += ',';
  return out;
}
void end_array(std::string& out) { out += ']'; }
void begin_object(std::string& out) { out += '{'; }
std::string& next_value(std::string& out, std::string_view key, bool first) {
  if (!first) out += ',';
  put_string(out, key);
  out += ':';
  return out;
}
void end_object(std::string& out) { out += '}'; }

std::string hint_for(std::string_view type) {
  if (type == "bytes" || type == "bytearray") return "decode it, or encode it as base64";
  if (type == "set" || type == "frozenset" || type == "generator" || type == "map" || type == "dict_keys" ||
      type == "dict_values") {
    return "make it a list";
  }
  if (type.starts_with("datetime.")) return "give its isoformat()";
  if (type.starts_with("numpy.")) return "give its tolist()";
  if (type == "decimal.Decimal") return "make it a str, or a float";
  if (type == "coroutine") return "run() must not be async";
  return "a result is made of None, bool, int, float, str, list, tuple and dict";
}

void check_container(PyObject* object, const JsonPlace& place, const Container* around) {
  if (place.depth < max_depth) return;
  for (const Container* at = around; at != nullptr; at = at->around) {
    if (at->object == object) refuse(place, "holds itself");
  }
  refuse(place, "is nested more than " + std::to_string(max_depth) + " levels deep");
}

// Everything is read by its stored value: no method of the module's own runs, and the GIL is never let go,
// so nothing can change under the walk.
template <class Out>
void walk(PyObject* object, Out& out, const JsonPlace& place, const Container* around) {
  if (object == Py_None) {
    put_null(out);
  } else if (object == Py_True || object == Py_False) {
    put_bool(out, object == Py_True);
  } else if (PyUnicode_Check(object)) {
    put_string(out, utf8(object, place, "is a str"));
  } else if (PyLong_Check(object)) {
    put_int(out, object, place);
  } else if (PyFloat_Check(object)) {
    const double value = PyFloat_AS_DOUBLE(object);
    if (!std::isfinite(value))
      refuse(place, "is NaN or infinite, which JSON does not have", "give None instead");
    put_float(out, value, place);
  } else if (PyList_Check(object) || PyTuple_Check(object)) {
    check_container(object, place, around);
    const Container here{around, object};
    const Py_ssize_t size = PySequence_Fast_GET_SIZE(object);
    begin_array(out, size);
    for (Py_ssize_t i = 0; i < size; ++i) {
      const auto index = static_cast<std::size_t>(i);
      walk(PySequence_Fast_GET_ITEM(object, i), next_element(out, index), place.in_array(index), &here);
    }
    end_array(out);
  } else if (PyDict_Check(object)) {
    check_container(object, place, around);
    const Container here{around, object};
    begin_object(out);
    PyObject *key = nullptr, *value = nullptr;
    bool first = true;
    for (Py_ssize_t at = 0; PyDict_Next(object, &at, &key, &value) != 0; first = false) {
      if (!PyUnicode_Check(key)) {
        refuse(place, "has a key that is " + type_of(key) + ", not str", "make the key a str");
      }
      const std::string_view name = utf8(key, place, "has a key");
      walk(value, next_value(out, name, first), place.in_object(name), &here);
    }
    end_object(out);
  } else {
    const std::string type = type_of(object);
    refuse(place, "is of type " + type + ", which JSON does not have", hint_for(type));
  }
}

}  // namespace

Json Conversions::to_json(PyObject* result) {
  Json json;
  if (result == Py_None) return json;
  walk(result, json, {}, nullptr);
  return json;
}

std::string Conversions::to_text(PyObject* result) {
  std::string text;
  walk(result, text, {}, nullptr);
  return text;
}

}  // namespace pyhost::detail
