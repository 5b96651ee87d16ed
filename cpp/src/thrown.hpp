// C++ exceptions on their way through Python: the Python exception that stands for one there keeps it.
#pragma once

#include <exception>
#include <string>

#include "python.hpp"

namespace pyhost::detail {

/// Makes a Python exception stand for a C++ one. False with Python's error set if that fails.
bool keep_thrown(PyObject* exception, std::exception_ptr thrown);

/// Throws the C++ exception that this very object stands for; returns if it stands for none. Null will do.
void throw_again(PyObject* exception);

/// The type of the exception that is being handled, as in "std::runtime_error".
std::string type_of_handled();

}  // namespace pyhost::detail
