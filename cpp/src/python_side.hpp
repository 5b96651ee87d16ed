// The functions of ours that Python code can call: the module `_pyhost`, which the Python package pyhost
// uses.
#pragma once

#include "python.hpp"

namespace pyhost::detail {

/// Puts a function into `_pyhost`, in the place of one of the same name; the first one makes the module. It
/// stays when the host is closed, so the function has to know then that there is none. The definition is kept
/// for ever. Throws StartupFailed. The caller holds the GIL.
void add_to_python_side(PyMethodDef& function);

/// Puts any other value there. The caller holds the GIL.
void put_on_python_side(const char* name, const py::object& value);

}  // namespace pyhost::detail
