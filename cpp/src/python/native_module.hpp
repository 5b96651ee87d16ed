// The functions of ours that Python code can call: the module `_pyhost`, which the Python package pyhost
// uses.
#pragma once

#include <memory>

#include "python/python.hpp"

namespace pyhost::detail {

/// Puts a function into `_pyhost`, in the place of one of the same name; the first one makes the module. It
/// stays when the host is closed, so the function has to know then that there is none. The definition is kept
/// for ever, and the owner, which owner_of() gives back to the function, for as long as Python keeps the
/// function. Throws StartupFailed. The caller holds the GIL.
void add_native_function(PyMethodDef& function, std::shared_ptr<void> owner = nullptr);

/// What a function was added with, by the `self` that it is called with.
template <class T>
std::shared_ptr<T> owner_of(PyObject* self) {
  return std::static_pointer_cast<T>(
      *static_cast<std::shared_ptr<void>*>(PyCapsule_GetPointer(self, nullptr)));
}

/// Puts any other value there. The caller holds the GIL.
void set_native_attribute(const char* name, const py::object& value);

/// Returns a value from there; null if there is none. The caller holds the GIL.
py::object native_attribute(const char* name);

}  // namespace pyhost::detail
