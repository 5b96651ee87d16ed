// Converts Json and JSON text to Python objects.
#include <cmath>
#include <type_traits>
#include <utility>

#include "convert/conversion_cache.hpp"
#include "convert/convert.hpp"
#include "convert/object_building.hpp"
#include "convert/refusals.hpp"
#include "convert/strict_parser.hpp"
#include "pyhost/json.hpp"

namespace pyhost::detail {

namespace {

// Each function returns a new reference, or throws.
class Walk {
 public:
  explicit Walk(KeyCache& keys) : keys_(keys) {}

  // Inlined into array() and object(), so that scalars need no call of a function of our own.
  [[gnu::always_inline]] PyObject* value(const Json& json, const JsonPlace& place) {
    switch (json.type()) {
      case Json::value_t::null:
        return shared(Py_None);
      case Json::value_t::boolean:
        return shared(*json.get_ptr<const bool*>() ? Py_True : Py_False);
      case Json::value_t::number_integer:
        return made(int_from(*json.get_ptr<const Json::number_integer_t*>()), place);
      case Json::value_t::number_unsigned:
        return made(int_from(*json.get_ptr<const Json::number_unsigned_t*>()), place);
      case Json::value_t::number_float:
        return float_from(json, place);
      case Json::value_t::string:
        return string(*json.get_ptr<const std::string*>(), place);
      case Json::value_t::array:
        return array(*json.get_ptr<const Json::array_t*>(), place);
      case Json::value_t::object:
        return object(*json.get_ptr<const Json::object_t*>(), place);
      case Json::value_t::binary:
      case Json::value_t::discarded:
        break;
    }
    refuse_binary(place);
  }

 private:
  static PyObject* shared(PyObject* object) {
    Py_INCREF(object);
    return object;
  }

  static PyObject* made(PyObject* object, const JsonPlace& place) {
    if (object == nullptr) refuse_with_python(place);
    return object;
  }

  static PyObject* float_from(const Json& json, const JsonPlace& place) {
    const double number = *json.get_ptr<const double*>();
    if (!std::isfinite(number)) refuse_not_finite(place);
    return made(PyFloat_FromDouble(number), place);
  }

  // PyLong_FromLong() is faster than the functions for larger types.
  template <class Integer>
  static PyObject* int_from(Integer number) {
    if (std::in_range<long>(number)) return PyLong_FromLong(static_cast<long>(number));
    if constexpr (std::is_signed_v<Integer>) return PyLong_FromLongLong(number);
    return PyLong_FromUnsignedLongLong(static_cast<unsigned long long>(number));
  }

  static PyObject* string(std::string_view utf8, const JsonPlace& place) {
    return is_plain_ascii(utf8) ? made(str_from_ascii(utf8), place) : other_string(utf8, place);
  }

  [[gnu::noinline]] static PyObject* other_string(std::string_view utf8, const JsonPlace& place) {
    if (!is_valid_utf8(utf8)) refuse_not_utf8(place);
    return made(str_from_valid(utf8), place);
  }

  PyObject* key(std::string_view utf8, const JsonPlace& place) {
    PyObject* seen = keys_.find(utf8);
    return seen != nullptr ? seen : other_key(utf8, place);
  }

  [[gnu::noinline]] PyObject* other_key(std::string_view utf8, const JsonPlace& place) {
    return is_plain_ascii(utf8) ? made(keys_.add(utf8), place) : other_string(utf8, place);
  }

  // Not inlined, so that a level of nesting needs little of the stack.
  [[gnu::noinline]] PyObject* array(const Json::array_t& array, const JsonPlace& place) {
    check_depth(place);
    py::object list = checked(PyList_New(static_cast<Py_ssize_t>(array.size())), place);
    JsonPlace below = place.in_array(0);
    for (const Json& json : array) {
      // Large arrays often consist of floats.
      PyObject* item = json.is_number_float() ? float_from(json, below) : value(json, below);
      PyList_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(below.index), item);
      ++below.index;
    }
    return list.release().ptr();
  }

  [[gnu::noinline]] PyObject* object(const Json::object_t& object, const JsonPlace& place) {
    check_depth(place);
    py::object dict = checked(new_dict(object.size()), place);
    JsonPlace below = place.in_object({});
    for (const auto& [name, json] : object) {
      below.key = name;
      py::object str = steal(key(name, below));
      PyObject* item = value(json, below);
      if (!add_item(dict.ptr(), str.release().ptr(), item)) refuse_with_python(below);
    }
    return dict.release().ptr();
  }

  KeyCache& keys_;
};

std::string_view json_name(PyObject* object) {
  if (PyList_CheckExact(object)) return "an array";
  if (PyUnicode_CheckExact(object)) return "a string";
  if (object == Py_None) return "null";
  return PyBool_Check(object) ? "a boolean" : "a number";
}

}  // namespace

py::object Conversions::to_python(const Json& state) {
  if (state.is_null()) return checked(PyDict_New(), {});
  must_be_object(state);
  return value_to_python(state);
}

py::object Conversions::value_to_python(const Json& value) {
  const CacheLock cache(*cache_);
  const GcPause without_collection;
  return steal(Walk(cache->keys).value(value, {}));
}

py::object Conversions::to_python(std::string_view state) {
  {
    const CacheLock cache(*cache_);
    if (py::object read = cache->parser.parse(state, cache->keys)) return read;
  }
  py::object object = parse_strictly(state);
  if (!PyDict_CheckExact(object.ptr())) refuse_non_object(json_name(object.ptr()));
  return object;
}

Conversions::Conversions() : cache_(std::make_unique<Cache>()) {}

Conversions::~Conversions() = default;

void Conversions::clear() noexcept {
  const CacheLock cache(*cache_);
  cache->keys.clear();
}

}  // namespace pyhost::detail
