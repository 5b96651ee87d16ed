// Reads a Python exception into plain data, without trusting any of its attributes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pyhost/error.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// Clears the exception that Python has set, and returns it with its traceback. Returns null if there is
/// none.
py::object take_raised();

/// Reads all of an exception, within limits of size. If its `__str__` raises, the message says so. A
/// `__str__` that takes more than a second is interrupted. For null, the message says that there was no
/// exception.
PythonException describe(PyObject* exception);

/// Reads the exception that Python has set, and clears it.
PythonException take_exception();

/// Returns the frames of an exception's traceback, without their source lines.
std::vector<Frame> frames_of(PyObject* exception);

/// Returns the qualified name of an object's type. Reads it from the type itself, so a metaclass cannot
/// change it.
std::string type_of(PyObject* object);

/// Returns "ValueError: bad threshold", or only the type if there is no message.
std::string one_line(const PythonException& exception);

/// Throws the exception that Python has set as an Error. Its message is `happened`, followed by the exception
/// in one line.
[[noreturn]] void throw_raised(ErrorKind kind, Phase phase, std::string_view module,
                               std::string_view happened);

/// The same for an exception that was read already.
[[noreturn]] void throw_raised(ErrorKind kind, Phase phase, std::string_view module,
                               std::string_view happened, PythonException exception);

/// The slow path of require().
[[noreturn]] void throw_not_made(std::string_view doing);

/// Returns the object, which must be a new reference.
/// Throws: StartupFailed with the exception that Python has set, if the object is null.
inline py::object require(PyObject* object, std::string_view doing) {
  if (object == nullptr) [[unlikely]]
    throw_not_made(doing);
  return steal(object);
}

}  // namespace pyhost::detail
