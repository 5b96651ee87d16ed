// Converts Python objects to Json or to JSON text, by one set of rules.
#include <cmath>
#include <iterator>
#include <tuple>
#include <utility>
#include <vector>

#include "convert/conversion_cache.hpp"
#include "convert/convert.hpp"
#include "convert/json_building.hpp"
#include "convert/json_writer.hpp"
#include "convert/refusals.hpp"
#include "pyhost/json.hpp"

#if PY_VERSION_HEX < 0x030b0000
#include <longintrepr.h>
#endif

namespace pyhost::detail {

namespace {

constexpr std::string_view changed = "was changed by another thread while it was read";

// The chain of containers around a value, from the innermost one. It is also the place of the value.
struct Container {
  const Container* around;
  PyObject* object;
  int depth;                // the number of containers around it
  PyObject* key = nullptr;  // of the value that is being written; null in an array
  std::size_t index = 0;
};

int depth_in(const Container* around) { return around == nullptr ? 0 : around->depth + 1; }

// The characters stand after the fields of the str.
std::string_view ascii_of(PyObject* compact_ascii) {
  return {reinterpret_cast<const char*>(reinterpret_cast<PyASCIIObject*>(compact_ascii) + 1),
          static_cast<std::size_t>(PyUnicode_GET_LENGTH(compact_ascii))};
}

// Returns a key as UTF-8, or no data for a lone surrogate. The view is valid as long as the str.
[[gnu::always_inline]] inline std::string_view name_of(PyObject* key) {
  if (PyUnicode_IS_COMPACT_ASCII(key)) return ascii_of(key);
  Py_ssize_t size = 0;
  const char* data = PyUnicode_AsUTF8AndSize(key, &size);
  if (data == nullptr) PyErr_Clear();
  return {data, static_cast<std::size_t>(size)};
}

// Returns the places from the top to the value. Only errors need them.
std::vector<JsonPlace> places_in(const Container* around) {
  std::vector<const Container*> containers;
  for (; around != nullptr; around = around->around) containers.push_back(around);
  std::vector<JsonPlace> places(1);
  places.reserve(containers.size() + 1);  // each place refers to the one before
  for (auto at = containers.rbegin(); at != containers.rend(); ++at) {
    const JsonPlace& outer = places.back();
    places.push_back((*at)->key != nullptr ? outer.in_object(name_of((*at)->key))
                                           : outer.in_array((*at)->index));
  }
  return places;
}

[[noreturn]] void refuse(const Container* around, std::string_view problem, std::string hint = {}) {
  refuse_value(result_way, places_in(around).back(), problem, std::move(hint));
}

[[noreturn]] void refuse_surrogate(const Container* around, std::string_view what) {
  refuse(around, std::string(what) + " with a lone surrogate, which is not a character");
}

// Output to a Json, which is null at first. put_str() returns false for a lone surrogate.

void put_null(Json& /*out*/) {}
void put_bool(Json& out, bool value) { put_scalar(out, Json::value_t::boolean, value); }
void put_int(Json& out, long long value) {
  put_scalar(out, Json::value_t::number_integer, Json::number_integer_t{value});
}
void put_float(Json& out, double value) { put_scalar(out, Json::value_t::number_float, value); }
[[gnu::noinline]] bool put_other_str(Json& out, PyObject* str) {
  put_new(out, Json::value_t::string);
  const bool valid = append_utf8(*out.get_ptr<std::string*>(), str);
  if (!valid) out = nullptr;
  return valid;
}
bool put_str(Json& out, PyObject* str) {
  if (!PyUnicode_IS_COMPACT_ASCII(str)) return put_other_str(out, str);
  put_new(out, ascii_of(str));
  return true;
}

// Returns whether an integer beyond the range of long long fits into Json.
bool fits_json(PyObject* integer) {
  PyLong_AsUnsignedLongLong(integer);
  const bool fits = PyErr_Occurred() == nullptr;
  PyErr_Clear();
  return fits;
}

[[noreturn]] void refuse_large(const Container* around) {
  refuse(around, beyond_64_bits,
         "run<std::string>() returns integers of any size that Python itself will write");
}

void put_large_int(Json& out, PyObject* object, const Container* around) {
  if (!fits_json(object)) refuse_large(around);
  out = PyLong_AsUnsignedLongLong(object);
}

Json::array_t& begin_array(Json& out, Py_ssize_t size) {
  put_new(out, Json::value_t::array);
  Json::array_t& array = *out.get_ptr<Json::array_t*>();
  array.reserve(static_cast<std::size_t>(size));  // elements must not move while they are written
  return array;
}
Json& next_element(Json::array_t& array, std::size_t /*i*/) { return array.emplace_back(); }
void end_array(Json::array_t& /*array*/) {}

struct JsonObject {
  Json::object_t& members;
  Json::object_t::iterator hint;  // the place after the last new member
};

JsonObject begin_object(Json& out) {
  put_new(out, Json::value_t::object);
  Json::object_t& members = *out.get_ptr<Json::object_t*>();
  return {members, members.end()};
}
Json& next_value(JsonObject& out, PyObject* str, bool /*first*/, const Container* around) {
  const std::string_view key = name_of(str);
  if (key.data() == nullptr) refuse_surrogate(around, "has a key");
  // Many keys follow the one before, also if not all are sorted. With this hint, no search is needed then.
  const auto member = out.members.emplace_hint(out.hint, std::piecewise_construct, std::forward_as_tuple(key),
                                               std::tuple<>());
  out.hint = std::next(member);
  Json& value = member->second;
  if (!value.is_null()) value = nullptr;  // keys of a subclass of str may differ and yet have the same text
  return value;
}
void end_object(JsonObject& /*out*/) {}

// Output to text.

void put_null(JsonWriter& out) { out.put("null"); }
void put_bool(JsonWriter& out, bool value) {
  if (value) {
    out.put("true");
  } else {
    out.put("false");
  }
}
void put_int(JsonWriter& out, long long value) { out.put(value); }
void put_float(JsonWriter& out, double value) { out.put(value); }
bool put_str(JsonWriter& out, PyObject* str) { return out.put_str(str); }

void put_large_int(JsonWriter& out, PyObject* object, const Container* around) {
  if (out.integers() == Integers::OfJson && !fits_json(object)) refuse_large(around);
  // The repr of int itself, even if a subclass overrides it.
  const py::object digits = steal(PyLong_Type.tp_repr(object));
  if (!digits) refuse(around, "is an integer that cannot be written: " + one_line(take_exception()));
  out.put({reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(digits.ptr())),
           static_cast<std::size_t>(PyUnicode_GET_LENGTH(digits.ptr()))});
}

JsonWriter& begin_array(JsonWriter& out, Py_ssize_t /*size*/) {
  out.put('[');
  return out;
}
JsonWriter& next_element(JsonWriter& out, std::size_t i) {
  if (i > 0) out.put_separator(',');
  return out;
}
void end_array(JsonWriter& out) { out.put(']'); }
JsonWriter& begin_object(JsonWriter& out) {
  out.put('{');
  return out;
}
JsonWriter& next_value(JsonWriter& out, PyObject* str, bool first, const Container* around) {
  if (!first) out.put_separator(',');
  if (!out.put_str(str)) refuse_surrogate(around, "has a key");
  out.put_separator(':');
  return out;
}
void end_object(JsonWriter& out) { out.put('}'); }

std::string hint_for(std::string_view type) {
  if (type == "bytes" || type == "bytearray") return "decode it, or encode it as base64";
  if (type == "set" || type == "frozenset" || type == "generator" || type == "map" || type == "dict_keys" ||
      type == "dict_values") {
    return "convert it to a list";
  }
  if (type.starts_with("datetime.")) return "return its isoformat()";
  if (type.starts_with("numpy.")) return "return its tolist()";
  if (type == "decimal.Decimal") return "convert it to a str or a float";
  if (type == "coroutine") return "await it";
  if (type == "pyhost._store.Store") return "return dict(store)";
  return "use only None, bool, int, float, str, list, tuple and dict";
}

[[noreturn]] void refuse_depth(PyObject* object, const Container* around) {
  const std::vector<JsonPlace> places = places_in(around);
  check_stack(result_way, places.back());
  for (const Container* at = around; at != nullptr; at = at->around) {
    if (at->object == object) refuse(around, "contains itself");
  }
  refuse_levels(result_way, places.back());
}

inline Container enter(PyObject* object, const Container* around) {
  const int depth = depth_in(around);
  if (lacks_stack(depth) || depth >= max_depth) refuse_depth(object, around);
  return {around, object, depth};
}

// Protects a container from changes while it is read. With a GIL nothing is needed, because no module code
// runs during the walk and the GIL is never released. Without a GIL other threads are locked out. But locking
// a nested container may suspend the locks of the outer ones, so sizes are checked again and values are held.
#ifdef Py_GIL_DISABLED
class Unchanged {
 public:
  static constexpr bool of_all = false;  // whether outer containers are protected, too
  explicit Unchanged(PyObject* object) { PyCriticalSection_Begin(&section_, object); }
  ~Unchanged() { PyCriticalSection_End(&section_); }
  Unchanged(const Unchanged&) = delete;
  Unchanged& operator=(const Unchanged&) = delete;
  static py::object held(PyObject* object) { return borrow(object); }

 private:
  PyCriticalSection section_;
};
#else
class Unchanged {
 public:
  static constexpr bool of_all = true;
  explicit Unchanged(PyObject* /*object*/) {}
  static PyObject* held(PyObject* object) { return object; }
};
#endif

// Returns whether the int fits into long long.
bool read_int(PyObject* object, long long& value) {
  auto* const integer = reinterpret_cast<PyLongObject*>(object);
#if PY_VERSION_HEX >= 0x030c0000
  if (PyUnstable_Long_IsCompact(integer) != 0) {
    value = PyUnstable_Long_CompactValue(integer);
    return true;
  }
#else
  const Py_ssize_t size = Py_SIZE(integer);  // the number of internal digits, with the sign of the int
  if (size == 1 || size == -1) {
    value = size * static_cast<Py_ssize_t>(integer->ob_digit[0]);
    return true;
  }
#endif
  int overflow = 0;
  value = PyLong_AsLongLongAndOverflow(object, &overflow);
  return overflow == 0;
}

// Returns false for a container, and for the values that put_any_leaf() handles.
template <class Out>
[[gnu::always_inline]] inline bool put_leaf(PyObject* object, Out& out) {
  if (PyUnicode_Check(object)) return put_str(out, object);
  if (PyFloat_CheckExact(object)) {
    const double value = PyFloat_AS_DOUBLE(object);
    if (!std::isfinite(value)) return false;
    put_float(out, value);
  } else if (PyLong_Check(object)) {
    if (PyBool_Check(object)) {
      put_bool(out, object == Py_True);
    } else {
      long long value = 0;
      if (!read_int(object, value)) return false;
      put_int(out, value);
    }
  } else if (object == Py_None) {
    put_null(out);
  } else {
    return false;
  }
  return true;
}

// Writes or refuses a value that is not a container.
template <class Out>
[[gnu::noinline]] void put_any_leaf(PyObject* object, Out& out, const Container* around) {
  if (put_leaf(object, out)) return;
  if (PyUnicode_Check(object)) refuse_surrogate(around, "is a str");
  if (PyLong_Check(object)) return put_large_int(out, object, around);
  if (PyFloat_Check(object)) {
    const double value = PyFloat_AS_DOUBLE(object);
    if (!std::isfinite(value)) refuse(around, not_finite, "return None instead");
    return put_float(out, value);
  }
  const std::string type = type_of(object);
  refuse(around, "is of type " + type + ", which JSON does not have", hint_for(type));
}

template <class Out>
void walk(PyObject* object, Out& out, const Container* around);

template <class Out>
[[gnu::noinline]] void walk_sequence(PyObject* object, Out& out, const Container* around) {
  Container here = enter(object, around);
  const Unchanged unchanged(object);
  const Py_ssize_t size = Py_SIZE(object);
  PyObject* const* const items = PySequence_Fast_ITEMS(object);
  auto& elements = begin_array(out, size);
  for (Py_ssize_t i = 0; i < size; ++i) {
    if (!Unchanged::of_all && Py_SIZE(object) != size) refuse(around, changed);
    const auto index = static_cast<std::size_t>(i);
    const auto held = Unchanged::held(Unchanged::of_all ? items[i] : PySequence_Fast_GET_ITEM(object, i));
    PyObject* element = py::handle(held).ptr();
    Out& to = next_element(elements, index);
    if (put_leaf(element, to)) continue;
    here.index = index;
    walk(element, to, &here);
  }
  end_array(elements);
}

template <class Out>
[[gnu::noinline]] void walk_dict(PyObject* object, Out& out, const Container* around) {
  Container here = enter(object, around);
  const Unchanged unchanged(object);
  const Py_ssize_t size = PyDict_GET_SIZE(object);
  auto&& members = begin_object(out);
  PyObject *next_key = nullptr, *next = nullptr;
  Py_ssize_t at = 0;
  for (Py_ssize_t i = 0; i < size && PyDict_Next(object, &at, &next_key, &next) != 0; ++i) {
    const auto held_key = Unchanged::held(next_key);
    const auto held_value = Unchanged::held(next);
    PyObject* key = py::handle(held_key).ptr();
    PyObject* value = py::handle(held_value).ptr();
    if (!PyUnicode_Check(key)) {
      refuse(around, "has a key that is " + type_of(key) + ", not str", "convert the key to a str");
    }
    Out& to = next_value(members, key, i == 0, around);
    if (!put_leaf(value, to)) {
      here.key = key;
      walk(value, to, &here);
    }
    if (!Unchanged::of_all && PyDict_GET_SIZE(object) != size) refuse(around, changed);
  }
  end_object(members);
}

// Reads only stored values. No method of a module runs.
template <class Out>
void walk(PyObject* object, Out& out, const Container* around) {
  if (PyDict_Check(object)) {
    walk_dict(object, out, around);
  } else if (PyList_Check(object) || PyTuple_Check(object)) {
    walk_sequence(object, out, around);
  } else {
    put_any_leaf(object, out, around);
  }
}

}  // namespace

Json Conversions::to_json(PyObject* result) {
  Json json;
  if (result == Py_None) return json;
  walk(result, json, nullptr);
  return json;
}

std::string Conversions::to_text(PyObject* result, Integers integers) {
  const CacheLock cache(*cache_);
  JsonWriter& text = cache->writer;
  text.clear();  // the remains of a conversion that failed
  text.allow(integers);
  walk(result, text, nullptr);
  return text.take();
}

}  // namespace pyhost::detail
