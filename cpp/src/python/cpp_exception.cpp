// The C++ exception is stored in a capsule, in an attribute of the Python exception.
#include "python/cpp_exception.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <typeinfo>
#include <utility>

#include "python/exception.hpp"

namespace pyhost::detail {

namespace {

constexpr const char* capsule_name = "pyhost.thrown";
constexpr const char* attribute_name = "_thrown";

struct CapsuleContent {
  std::exception_ptr exception;
  PyObject* owner;  // borrowed: the Python exception that owns this
};

// An Error that observers see. The caller gets the C++ exception itself.
struct ErrorWithCppException : Error {
  ErrorWithCppException(const Error& error, std::exception_ptr thrown)
      : Error(error), reason(std::move(thrown)) {}
  std::exception_ptr reason;
};

thread_local bool errors_only = false;

CapsuleContent* content_of(PyObject* capsule) {
  return static_cast<CapsuleContent*>(PyCapsule_GetPointer(capsule, capsule_name));
}

}  // namespace

bool attach_cpp_exception(PyObject* exception, std::exception_ptr thrown) {
  auto content = std::make_unique<CapsuleContent>(CapsuleContent{std::move(thrown), exception});
  const py::object capsule =
      steal(PyCapsule_New(content.get(), capsule_name, [](PyObject* dying) { delete content_of(dying); }));
  if (!capsule) return false;
  static_cast<void>(content.release());
  return PyObject_SetAttrString(exception, attribute_name, capsule.ptr()) == 0;
}

std::exception_ptr cpp_exception_of(PyObject* exception) {
  if (exception == nullptr || PyExceptionInstance_Check(exception) == 0) return nullptr;
  PyObject* const dict = reinterpret_cast<PyBaseExceptionObject*>(exception)->dict;
  PyObject* const capsule =
      dict != nullptr && PyDict_Check(dict) ? PyDict_GetItemString(dict, attribute_name) : nullptr;
  if (capsule == nullptr || PyCapsule_IsValid(capsule, capsule_name) == 0) return nullptr;
  // If module code copied the attribute to another exception, it does not apply to that one.
  const CapsuleContent* const content = content_of(capsule);
  return content->owner == exception ? content->exception : nullptr;
}

void throw_with_cpp_exception(std::exception_ptr thrown, const Error& error) {
  if (thrown) throw ErrorWithCppException(error, std::move(thrown));
  throw error;
}

void throw_raised_with_cpp_exception(ErrorKind kind, Phase phase, std::string_view module,
                                     std::string_view happened, PyObject* raised, PythonException described) {
  try {
    throw_raised(kind, phase, module, happened, std::move(described));
  } catch (const Error& error) {
    throw_with_cpp_exception(cpp_exception_of(raised), error);
  }
}

void rethrow_cpp_exception_of(const Error& error, bool is_outermost) {
  if (errors_only && is_outermost) return;
  if (const auto* over = dynamic_cast<const ErrorWithCppException*>(&error))
    std::rethrow_exception(over->reason);
}

ThrowErrorsOnly::ThrowErrorsOnly() noexcept { errors_only = true; }

ThrowErrorsOnly::~ThrowErrorsOnly() { errors_only = false; }

std::string current_exception_type() {
  const std::type_info* const type = abi::__cxa_current_exception_type();
  if (type == nullptr) return "an exception of another language";
  int failed = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(type->name(), nullptr, nullptr, &failed), &std::free);
  return failed == 0 ? name.get() : type->name();
}

}  // namespace pyhost::detail
