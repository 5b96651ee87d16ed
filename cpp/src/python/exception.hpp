// A Python exception as plain data: read in full, and trusted in nothing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pyhost/error.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// The exception that Python has set, with its traceback in it, and clears it; null if there is none.
py::object take_raised();

/// All of an exception, bounded in size. What its own code raises is told; its `__str__` is interrupted
/// if it does not return in a second. For null it says that there was none.
PythonException describe(PyObject* exception);

/// Both at once.
PythonException take_exception();

/// The frames of an exception's traceback, without their source.
std::vector<Frame> frames_of(PyObject* exception);

/// The qualified name of an object's type, as the type itself has it: a metaclass cannot lie about it.
std::string type_of(PyObject* object);

/// "ValueError: bad threshold", or the bare type where there is no message.
std::string one_line(const PythonException& exception);

/// Throws what Python has set as an Error whose message is `happened` and the exception in one line.
[[noreturn]] void throw_raised(ErrorKind kind, Phase phase, std::string_view module,
                               std::string_view happened);

/// The same for an exception that was taken and described.
[[noreturn]] void throw_raised(ErrorKind kind, Phase phase, std::string_view module,
                               std::string_view happened, PythonException exception);

/// The object if it is not null; else throws StartupFailed with what Python has set.
py::object require(PyObject* object, std::string_view doing);

}  // namespace pyhost::detail
