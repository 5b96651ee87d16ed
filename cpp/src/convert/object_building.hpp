// Helpers for code that builds Python objects.
#pragma once

#include "python/python.hpp"

// Exported by CPython, but not declared everywhere.
#if PY_VERSION_HEX < 0x030E0000
extern "C" PyAPI_FUNC(PyObject*) _PyDict_NewPresized(Py_ssize_t minused);
#endif
#if PY_VERSION_HEX >= 0x030D0000 && PY_VERSION_HEX < 0x030E0000
extern "C" PyAPI_FUNC(int) _PyDict_SetItem_Take2(PyDictObject* dict, PyObject* key, PyObject* value);
#endif

namespace pyhost::detail {

/// Returns a new dict with room for `size` items.
inline PyObject* new_dict([[maybe_unused]] std::size_t size) {
#if PY_VERSION_HEX < 0x030E0000
  constexpr std::size_t room_of_any = 5;
  if (size > room_of_any) return _PyDict_NewPresized(static_cast<Py_ssize_t>(size));
#endif
  return PyDict_New();
}

/// Adds an item to a dict. The key is a str. Takes the references to the key and to the value. Returns false
/// with Python's error set if that fails.
inline bool add_item(PyObject* dict, PyObject* key, PyObject* value) {
#if PY_VERSION_HEX >= 0x030D0000 && PY_VERSION_HEX < 0x030E0000
  return _PyDict_SetItem_Take2(reinterpret_cast<PyDictObject*>(dict), key, value) == 0;
#else
#if PY_VERSION_HEX < 0x030D0000
  const Py_hash_t hash = reinterpret_cast<PyASCIIObject*>(key)->hash;
  const bool is_hashed = hash != -1;
  const int result =
      is_hashed ? _PyDict_SetItem_KnownHash(dict, key, value, hash) : PyDict_SetItem(dict, key, value);
#else
  const int result = PyDict_SetItem(dict, key, value);
#endif
  Py_DECREF(key);
  Py_DECREF(value);
  return result == 0;
#endif
}

/// Disables garbage collection while it exists. A collection may run module code, and has nothing to free
/// among objects that are still being built.
class GcPause {
 public:
  // Without a GIL, this would disable the collection for other threads, too.
#if PY_VERSION_HEX >= 0x030A0000 && !defined(Py_GIL_DISABLED)
  GcPause() : was_on_(PyGC_Disable() != 0) {}
  ~GcPause() {
    if (was_on_) PyGC_Enable();
  }
#else
  GcPause() = default;
  ~GcPause() { static_cast<void>(was_on_); }
#endif
  GcPause(const GcPause&) = delete;
  GcPause& operator=(const GcPause&) = delete;

 private:
  bool was_on_ = false;
};

}  // namespace pyhost::detail
