// Converts Json and JSON text to Python objects.
#include <cmath>

#include "convert/conversion_cache.hpp"
#include "convert/convert.hpp"
#include "convert/object_building.hpp"
#include "convert/refusals.hpp"
#include "convert/strict_parser.hpp"
#include "pyhost/json.hpp"

namespace pyhost::detail {

namespace {

class Walk {
 public:
  explicit Walk(KeyCache& keys) : keys_(keys) {}

  py::object value(const Json& json, const JsonPlace& place) {
    switch (json.type()) {
      case Json::value_t::null:
        return borrow(Py_None);
      case Json::value_t::boolean:
        return borrow(*json.get_ptr<const bool*>() ? Py_True : Py_False);
      case Json::value_t::number_integer:
        return checked(PyLong_FromLongLong(*json.get_ptr<const Json::number_integer_t*>()), place);
      case Json::value_t::number_unsigned:
        return checked(PyLong_FromUnsignedLongLong(*json.get_ptr<const Json::number_unsigned_t*>()), place);
      case Json::value_t::number_float: {
        const double number = *json.get_ptr<const double*>();
        if (!std::isfinite(number)) refuse_not_finite(place);
        return checked(PyFloat_FromDouble(number), place);
      }
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
  static py::object string(std::string_view utf8, const JsonPlace& place) {
    if (is_plain_ascii(utf8)) return checked(str_from_ascii(utf8), place);
    if (!is_valid_utf8(utf8)) refuse_not_utf8(place);
    return checked(str_from_valid(utf8), place);
  }

  py::object key(std::string_view utf8, const JsonPlace& place) {
    if (PyObject* seen = keys_.find(utf8); seen != nullptr) return steal(seen);
    return is_plain_ascii(utf8) ? checked(keys_.add(utf8), place) : string(utf8, place);
  }

  py::object array(const Json::array_t& array, const JsonPlace& place) {
    check_depth(place);
    py::object list = checked(PyList_New(static_cast<Py_ssize_t>(array.size())), place);
    for (std::size_t i = 0; i < array.size(); ++i) {
      PyList_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i),
                      value(array[i], place.in_array(i)).release().ptr());
    }
    return list;
  }

  py::object object(const Json::object_t& object, const JsonPlace& place) {
    check_depth(place);
    py::object dict = checked(new_dict(object.size()), place);
    for (const auto& [name, json] : object) {
      const JsonPlace below = place.in_object(name);
      const py::object str = key(name, below);
      const py::object item = value(json, below);
      if (PyDict_SetItem(dict.ptr(), str.ptr(), item.ptr()) != 0) refuse_with_python(below);
    }
    return dict;
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
  return Walk(cache->keys).value(value, {});
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
