// Carries C++ exceptions through Python: a Python exception takes the place of the C++ exception, and keeps
// it.
#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "pyhost/error.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// Attaches a C++ exception to the Python exception that takes its place. Returns false with Python's error
/// set if that fails.
bool attach_cpp_exception(PyObject* exception, std::exception_ptr thrown);

/// Returns the C++ exception that was attached to exactly this object, or null.
std::exception_ptr cpp_exception_of(PyObject* exception);

/// Throws the error, together with the C++ exception that caused it if there is one.
[[noreturn]] void throw_with_cpp_exception(std::exception_ptr thrown, const Error& error);

/// Like throw_raised(), for a Python exception that may have a C++ exception attached: that one is the cause
/// of the Error.
[[noreturn]] void throw_raised_with_cpp_exception(ErrorKind kind, Phase phase, std::string_view module,
                                                  std::string_view happened, PyObject* raised,
                                                  PythonException described);

/// Throws the C++ exception that caused the error. Returns if there is none, or if ThrowErrorsOnly applies to
/// this run.
void rethrow_cpp_exception_of(const Error& error, bool is_outermost);

/// While it exists, the outermost runs of this thread throw the Error instead of the C++ exception that
/// caused it. For callers that may be in another process.
class ThrowErrorsOnly {
 public:
  ThrowErrorsOnly() noexcept;
  ~ThrowErrorsOnly();
  ThrowErrorsOnly(const ThrowErrorsOnly&) = delete;
  ThrowErrorsOnly& operator=(const ThrowErrorsOnly&) = delete;
};

/// Returns the type of the exception that is being handled, as in "std::runtime_error".
std::string current_exception_type();

}  // namespace pyhost::detail
