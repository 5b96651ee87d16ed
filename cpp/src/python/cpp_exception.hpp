// C++ exceptions on their way through Python: the Python exception that stands for one there keeps it.
#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "pyhost/error.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// Makes a Python exception stand for a C++ one. False with Python's error set if that fails.
bool attach_cpp_exception(PyObject* exception, std::exception_ptr thrown);

/// The C++ exception that this very object stands for; null if it stands for none.
std::exception_ptr cpp_exception_of(PyObject* exception);

/// Throws the error; with the C++ exception in it that is its reason, if there is one.
[[noreturn]] void throw_with_cpp_exception(std::exception_ptr thrown, const Error& error);

/// Throws what Python raised as throw_raised() does, with the C++ exception in it that it stands for.
[[noreturn]] void throw_raised_with_cpp_exception(ErrorKind kind, Phase phase, std::string_view module,
                                                  std::string_view happened, PyObject* raised,
                                                  PythonException described);

/// Throws the C++ exception that is the reason of the error. Returns if there is none, or if ThrowErrorsOnly
/// keeps it back from the outermost run.
void rethrow_cpp_exception_of(const Error& error, bool is_outermost);

/// For as long as it lives, the outermost runs of this thread throw the Error itself: where they are made
/// for somebody who may be in another process, too.
class ThrowErrorsOnly {
 public:
  ThrowErrorsOnly() noexcept;
  ~ThrowErrorsOnly();
  ThrowErrorsOnly(const ThrowErrorsOnly&) = delete;
  ThrowErrorsOnly& operator=(const ThrowErrorsOnly&) = delete;
};

/// The type of the exception that is being handled, as in "std::runtime_error".
std::string current_exception_type();

}  // namespace pyhost::detail
