// C++ exceptions on their way through Python: the Python exception that stands for one there keeps it.
#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "pyhost/error.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// Makes a Python exception stand for a C++ one. False with Python's error set if that fails.
bool keep_thrown(PyObject* exception, std::exception_ptr thrown);

/// The C++ exception that this very object stands for; null if it stands for none.
std::exception_ptr thrown_of(PyObject* exception);

/// Throws the error; with the C++ exception in it that is its reason, if there is one.
[[noreturn]] void throw_over(std::exception_ptr thrown, const Error& error);

/// Throws what Python raised as throw_raised() does, with the C++ exception in it that it stands for.
[[noreturn]] void throw_raised_over(ErrorKind kind, Phase phase, std::string_view module,
                                    std::string_view happened, PyObject* raised, PythonException described);

/// Throws the C++ exception that is the reason of the error. Returns if there is none, or if OnlyErrors keeps
/// it back from the outermost run.
void throw_reason_of(const Error& error, bool is_outermost);

/// For as long as it lives, the outermost runs of this thread throw the Error itself: where they are made
/// for somebody who may be in another process, too.
class OnlyErrors {
 public:
  OnlyErrors() noexcept;
  ~OnlyErrors();
  OnlyErrors(const OnlyErrors&) = delete;
  OnlyErrors& operator=(const OnlyErrors&) = delete;
};

/// The type of the exception that is being handled, as in "std::runtime_error".
std::string type_of_handled();

}  // namespace pyhost::detail
