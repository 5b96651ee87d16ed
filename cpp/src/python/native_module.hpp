// The module `_pyhost`: the C++ functions that Python code can call. The Python package pyhost uses it.
#pragma once

#include <memory>

#include "python/python.hpp"

namespace pyhost::detail {

/// Adds a function to `_pyhost`, or replaces the one of the same name. The first call creates the module. The
/// function stays when the host is closed, so it must handle that case. `function` must live for ever. The
/// owner, which the function gets from owner_of(), lives as long as the Python function. The caller holds the
/// GIL.
/// Throws: StartupFailed.
void add_native_function(PyMethodDef& function, std::shared_ptr<void> owner = nullptr);

/// Returns the owner of a function, from the `self` with which the function is called.
template <class T>
std::shared_ptr<T> owner_of(PyObject* self) {
  return std::static_pointer_cast<T>(
      *static_cast<std::shared_ptr<void>*>(PyCapsule_GetPointer(self, nullptr)));
}

/// Adds any other value to `_pyhost`. The caller holds the GIL.
void set_native_attribute(const char* name, const py::object& value);

/// Returns a value of `_pyhost`, or null. The caller holds the GIL.
py::object native_attribute(const char* name);

}  // namespace pyhost::detail
