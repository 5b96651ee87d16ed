// A call from Python takes a dict, releases the GIL, and returns a value or raises an exception.
#include "services/python_services.hpp"

#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pyhost/error.hpp"
#include "python/cpp_exception.hpp"
#include "python/gil.hpp"
#include "python/native_module.hpp"
#include "python/py_string.hpp"
#include "python/stack.hpp"
#include "services/connections.hpp"

namespace pyhost::detail {

namespace {

// The limit of nested calls of services on one thread. Each level takes about 4 KB of the C stack, in
// addition to what the service and the module need. Most threads have 8 MB. On a smaller stack, a nested call
// needs space for one level and for what Python does in it, such as compiling a module.
constexpr int max_depth = 100;
#ifdef PYHOST_SANITIZED  // where each frame is several times as large
constexpr std::size_t min_stack = 256 * 1024;
#else
constexpr std::size_t min_stack = 64 * 1024;
#endif

// Thrown after Python's error was set for the module.
struct PythonErrorSet {};

[[noreturn]] void refuse(PyObject* type, const std::string& message) {
  PyErr_SetString(type, message.c_str());
  throw PythonErrorSet();
}

py::object error_type(const char* name) {
  const py::object errors = steal(PyImport_ImportModule("pyhost.errors"));
  py::object type = errors ? steal(PyObject_GetAttrString(errors.ptr(), name)) : py::object();
  if (!type) throw PythonErrorSet();
  return type;
}

// Sets pyhost.errors.<type>(service, cpp_type, message, kind) as Python's error, and returns null.
PyObject* raise(const char* type, std::string_view service, std::string_view cpp_type,
                std::string_view message, std::string_view kind, std::exception_ptr thrown) {
  const auto text = [](std::string_view utf8) {
    return PyUnicode_DecodeUTF8(utf8.data(), static_cast<Py_ssize_t>(utf8.size()), "replace");
  };
  const py::object of_kind = kind.empty() ? borrow(Py_None) : steal(text(kind));
  const py::object error = steal(PyObject_CallFunction(error_type(type).ptr(), "NNNO", text(service),
                                                       text(cpp_type), text(message), of_kind.ptr()));
  if (!error || (thrown && !attach_cpp_exception(error.ptr(), std::move(thrown)))) return nullptr;
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
  return nullptr;
}

// Called in a catch clause: sets the C++ exception as Python's error, and returns null.
PyObject* raise_current_exception(std::string_view service) {
  const std::exception_ptr thrown = std::current_exception();
  const std::string type = current_exception_type();
  try {
    try {
      throw;
    } catch (const Error& error) {
      return raise("ServiceError", service, type, error.message(), to_string(error.kind()), thrown);
    } catch (const std::exception& error) {
      return raise("ServiceError", service, type, error.what(), {}, thrown);
    } catch (...) {
      return raise("ServiceError", service, type, {}, {}, thrown);
    }
  } catch (const PythonErrorSet&) {
    return nullptr;
  }
}

[[noreturn]] void refuse_closed(const std::string& service, std::string_view message) {
  raise("HostClosed", service, "", message, to_string(ErrorKind::HostClosed), nullptr);
  throw PythonErrorSet();
}

[[noreturn]] void refuse_missing(const std::string& service, std::string_view message) {
  raise("ServiceNotFound", service, "", message, "", nullptr);
  throw PythonErrorSet();
}

// Returns the message of a conversion error, which is about a state or a result, with another subject.
std::string with_subject(const Error& error, std::string_view subject, const std::string& new_subject) {
  const std::string& message = error.message();
  return message.starts_with(subject) ? new_subject + message.substr(subject.size()) : message;
}

void check_depth(const std::string& name) {
  const int depth = Services::Call::depth();
  if (depth >= max_depth) {
    refuse(PyExc_RecursionError,
           "services." + name + ": more than " + std::to_string(max_depth) + " nested calls of services");
  }
  if (depth > 0 && stack_left() < min_stack) {
    refuse(PyExc_RecursionError,
           "services." + name + ": too little of the thread's stack is left for a call nested in " +
               std::to_string(depth) + " others; give the thread a larger stack by threading.stack_size(…)");
  }
}

// Returns the arguments of a call: one dict, or keyword arguments, or nothing.
PyObject* chosen_arguments(const std::string& name, PyObject* positional, PyObject* named) {
  const Py_ssize_t count = PyTuple_GET_SIZE(positional);
  if (count == 0) return named;
  PyObject* const first = PyTuple_GET_ITEM(positional, 0);
  if (count == 1 && PyDict_Check(first) && PyDict_GET_SIZE(named) == 0) return first;
  std::string got = count == 1 ? type_of(first) : std::to_string(count) + " positional arguments";
  if (PyDict_GET_SIZE(named) > 0) got += " and keyword arguments";
  refuse(PyExc_TypeError, "services." + name + " takes one dict or keyword arguments, but got " + got);
}

// The services, and the conversions of the interpreter that calls them.
struct InterpreterAccess {
  std::shared_ptr<Services> services;
  std::shared_ptr<Conversions> conversions;
};

// One call from Python. Its functions throw PythonErrorSet, or the service's exception.
class PythonCall {
 public:
  explicit PythonCall(PyObject* self) : access_(owner_of<InterpreterAccess>(self)) {}

  PyObject* call(const std::string& name, PyObject* positional, PyObject* named) {
    check_depth(name);
    const Json arguments = read_arguments(name, chosen_arguments(name, positional, named));
    const Json answer =
        services().remote_answer()
            ? ask_remotely(name, {{"call", name}, {"arguments", arguments}, {"stores", held_stores()}})
                  .at("answer")
            : call_here(name, arguments);
    try {
      return conversions().value_to_python(answer).release().ptr();
    } catch (const Error& error) {
      throw Error({.kind = ErrorKind::InvalidResult,
                   .phase = Phase::Result,
                   .message = with_subject(error, "the state", "the answer of service '" + name + "'"),
                   .pointer = error.pointer()});
    }
  }

  PyObject* doc(const std::string& name) {
    std::optional<std::string> text;
    if (services().remote_answer()) {
      text = ask_remotely(name, {{"doc", name}}).at("doc").get<std::string>();
    } else {
      text = services().doc(name);
    }
    if (!text) refuse_unknown(name);
    return PyUnicode_DecodeUTF8(text->data(), static_cast<Py_ssize_t>(text->size()), "replace");
  }

  PyObject* names() {
    py::object list = steal(PyList_New(0));
    const std::vector<std::string> all =
        services().remote_answer()
            ? ask_remotely("", {{"names", true}}).at("names").get<std::vector<std::string>>()
            : services().names();
    for (const std::string& each : all) {
      const py::object name = steal(PyUnicode_FromString(each.c_str()));
      if (!name || PyList_Append(list.ptr(), name.ptr()) != 0) return nullptr;
    }
    return list.release().ptr();
  }

 private:
  Services& services() const { return *access_->services; }
  Conversions& conversions() const { return *access_->conversions; }

  Json read_arguments(const std::string& name, PyObject* given) {
    try {
      return conversions().to_json(given);
    } catch (const Error& error) {
      refuse(PyExc_TypeError, with_subject(error, "the result", "the argument of services." + name));
    }
  }

  Json call_here(const std::string& name, const Json& arguments) {
    {
      const GilRelease no_gil;  // also while the last call of a withdrawn service destroys its function
      const Services::Call call(services(), name);
      if (call) return call(arguments);
    }
    refuse_unknown(name);
  }

  [[noreturn]] void refuse_unknown(const std::string& name) {
    if (!services().is_open()) refuse_closed(name, host_closed_message);
    refuse_missing(name, services().missing_message(name));
  }

  Json ask_remotely(const std::string& name, const Json& question) {
    Json answer;
    {
      const GilRelease no_gil;
      answer = services().remote_answer()(question);
    }
    if (answer.contains("missing")) refuse_missing(name, answer.at("missing").get<std::string>());
    if (answer.contains("closed")) refuse_closed(name, answer.at("closed").get<std::string>());
    if (answer.contains("raised")) {
      const Json& raised = answer.at("raised");
      raise("ServiceError", name, raised.at("type").get<std::string>(),
            raised.at("message").get<std::string>(), raised.at("kind").get<std::string>(), nullptr);
      throw PythonErrorSet();
    }
    return answer;
  }

  std::shared_ptr<InterpreterAccess> access_;  // shared, because the host may close during the call
};

// Calls the action, and turns each failure into a Python error. In a child that a module has forked, services
// would wait for locks and threads of the parent.
template <class Action>
PyObject* with_python_errors(std::string_view service, Action action) {
  try {
    if (is_forked_child)
      refuse_closed(std::string(service), "its host belongs to the process that forked this one");
    return action();
  } catch (const PythonErrorSet&) {
    return nullptr;
  } catch (...) {
    return raise_current_exception(service);
  }
}

PyObject* call_service(PyObject* self, PyObject* arguments) {
  const char* name = nullptr;
  PyObject *positional = nullptr, *named = nullptr;
  if (PyArg_ParseTuple(arguments, "sO!O!", &name, &PyTuple_Type, &positional, &PyDict_Type, &named) == 0)
    return nullptr;
  return with_python_errors(name, [&] { return PythonCall(self).call(name, positional, named); });
}

PyObject* service_doc(PyObject* self, PyObject* name) {
  Py_ssize_t size = 0;  // a name may hold a NUL
  const char* const utf8 = PyUnicode_AsUTF8AndSize(name, &size);
  if (utf8 == nullptr) PyErr_Clear();
  const std::string text = utf8 != nullptr ? std::string(utf8, static_cast<std::size_t>(size)) : "";
  return with_python_errors(text, [&] { return PythonCall(self).doc(text); });
}

PyObject* service_names(PyObject* self, PyObject* /*none*/) {
  return with_python_errors("", [&] { return PythonCall(self).names(); });
}

}  // namespace

void add_services_to_python(std::shared_ptr<Services> services, std::shared_ptr<Conversions> conversions) {
  static PyMethodDef functions[] = {{"call_service", call_service, METH_VARARGS, nullptr},
                                    {"service_doc", service_doc, METH_O, nullptr},
                                    {"service_names", service_names, METH_NOARGS, nullptr}};
  const auto access =
      std::make_shared<InterpreterAccess>(InterpreterAccess{std::move(services), std::move(conversions)});
  for (PyMethodDef& each : functions) add_native_function(each, access);
}

}  // namespace pyhost::detail
