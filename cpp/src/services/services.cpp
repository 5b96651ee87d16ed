// The register of services, and the way of one call: a dict in, the GIL let go, a value or an exception out.
#include "services/services.hpp"

#include <pthread.h>

#include <cstdint>
#include <exception>
#include <limits>
#include <utility>
#include <vector>

#include "error/json_text.hpp"
#include "error/module_name.hpp"
#include "pyhost/error.hpp"
#include "pyhost/json.hpp"
#include "python/cpp_exception.hpp"
#include "python/gil.hpp"
#include "python/native_module.hpp"
#include "python/py_string.hpp"

namespace pyhost::detail {

struct Services::Provided {
  Service function;
  std::string doc;
  int calls = 0;  ///< That run now; guarded by the room's mutex.
};

namespace {

// Calls of services within calls of services, on one thread. Each level takes some 4 KB of C's stack besides
// what the service and the module need: threads have 8 MB as a rule. Where there is less, a call within
// another has to find room for a level, and for what Python does in it, such as to compile a module.
constexpr int most_levels = 100;
#ifdef PYHOST_SANITIZED  // with which each frame is several times as large
constexpr std::size_t least_stack = 256 * 1024;
#else
constexpr std::size_t least_stack = 64 * 1024;
#endif

// In bytes, of this thread's stack; as good as endless if we are on another, as coroutines have it.
std::size_t stack_left() {
  struct Stack {
    std::uintptr_t lowest = 0;
    std::size_t size = 0;
  };
  static thread_local const Stack stack = [] {
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return Stack();
    void* lowest = nullptr;
    std::size_t size = 0;
    pthread_attr_getstack(&attributes, &lowest, &size);
    pthread_attr_destroy(&attributes);
    return Stack{reinterpret_cast<std::uintptr_t>(lowest), size};
  }();
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  const bool is_on_it = here >= stack.lowest && here - stack.lowest < stack.size;
  return is_on_it ? here - stack.lowest : std::numeric_limits<std::size_t>::max();
}

constexpr std::string_view closed_host = "its host is closed";

// A Python error was set for the module to see.
struct Refused {};

// The caller's message, as an exception of this type from pyhost.errors or of Python's own.
[[noreturn]] void refuse(PyObject* type, const std::string& message) {
  PyErr_SetString(type, message.c_str());
  throw Refused();
}

py::object error_type(const char* name) {
  const py::object errors = steal(PyImport_ImportModule("pyhost.errors"));
  py::object type = errors ? steal(PyObject_GetAttrString(errors.ptr(), name)) : py::object();
  if (!type) throw Refused();
  return type;
}

// Raises pyhost.errors.<type>(service, of_type, message, kind).
PyObject* raise(const char* type, std::string_view service, std::string_view of_type,
                std::string_view message, std::string_view kind, std::exception_ptr thrown) {
  const auto text = [](std::string_view utf8) {
    return PyUnicode_DecodeUTF8(utf8.data(), static_cast<Py_ssize_t>(utf8.size()), "replace");
  };
  const py::object of_kind = kind.empty() ? borrow(Py_None) : steal(text(kind));
  const py::object error = steal(PyObject_CallFunction(error_type(type).ptr(), "NNNO", text(service),
                                                       text(of_type), text(message), of_kind.ptr()));
  if (!error || (thrown && !attach_cpp_exception(error.ptr(), std::move(thrown)))) return nullptr;
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
  return nullptr;
}

// Called while an exception is handled.
PyObject* raise_handled(std::string_view service) {
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
  } catch (const Refused&) {
    return nullptr;
  }
}

// A conversion says what is wrong with a state or a result; here it is another's.
std::string said_of(const Error& error, std::string_view it_says, const std::string& it_is) {
  const std::string& message = error.message();
  return message.starts_with(it_says) ? it_is + message.substr(it_says.size()) : message;
}

// What a module gave: one dict, or keyword arguments, or nothing.
PyObject* chosen_arguments(const std::string& name, PyObject* positional, PyObject* named) {
  const Py_ssize_t count = PyTuple_GET_SIZE(positional);
  if (count == 0) return named;
  PyObject* const first = PyTuple_GET_ITEM(positional, 0);
  if (count == 1 && PyDict_Check(first) && PyDict_GET_SIZE(named) == 0) return first;
  std::string got = count == 1 ? type_of(first) : std::to_string(count) + " positional arguments";
  if (PyDict_GET_SIZE(named) > 0) got += " and keyword arguments";
  refuse(PyExc_TypeError, "services." + name + " takes one dict or keyword arguments, and got " + got);
}

}  // namespace

/// One call, for as long as it runs. It holds the service, so that nobody takes it from under it.
class Services::Call {
 public:
  Call(Services& services, std::shared_ptr<Provided> provided)
      : services_(services), provided_(std::move(provided)), around_(innermost) {
    innermost = this;
  }
  ~Call() {
    innermost = around_;
    {
      const std::lock_guard lock(services_.mutex_);
      --provided_->calls;
    }
    services_.call_ended_.notify_all();
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  Json operator()(const Json& arguments) const { return provided_->function(arguments); }

  static int levels() {
    int count = 0;
    for (const Call* at = innermost; at != nullptr; at = at->around_) ++count;
    return count;
  }

 private:
  static thread_local const Call* innermost;
  Services& services_;
  std::shared_ptr<Provided> provided_;
  const Call* around_;
};

thread_local const Services::Call* Services::Call::innermost = nullptr;

/// Where the Python of one interpreter comes to them.
struct Services::Door {
  std::shared_ptr<Services> services;
  std::shared_ptr<Conversions> conversions;
};

/// What Python asks.
class Services::Asked {
 public:
  explicit Asked(PyObject* self)
      : services_(owner_of<Door>(self)->services), conversions_(owner_of<Door>(self)->conversions) {}

  PyObject* call(const std::string& name, PyObject* positional, PyObject* named) {
    const int levels = Call::levels();
    if (levels >= most_levels) {
      refuse(PyExc_RecursionError, "services." + name + ": more than " + std::to_string(most_levels) +
                                       " calls of services within each other");
    }
    if (levels > 0 && stack_left() < least_stack) {
      refuse(PyExc_RecursionError, "services." + name +
                                       ": too little of the thread's stack is left for a call within " +
                                       std::to_string(levels) +
                                       " others; give the thread a larger one, by threading.stack_size(…)");
    }
    const Json arguments = read_arguments(name, chosen_arguments(name, positional, named));
    const Json answer = answer_to(name, arguments);
    try {
      return conversions_->value_to_python(answer).release().ptr();
    } catch (const Error& error) {
      throw Error({.kind = ErrorKind::InvalidResult,
                   .phase = Phase::Result,
                   .message = said_of(error, "the state", "what service '" + name + "' answered"),
                   .pointer = error.pointer()});
    }
  }

  PyObject* doc(const std::string& name) {
    const std::string text = services_->elsewhere_
                                 ? ask_elsewhere(name, {{"doc", name}}).at("doc").get<std::string>()
                                 : find(name, 0)->doc;
    return PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
  }

  PyObject* names() {
    py::object list = steal(PyList_New(0));
    const std::vector<std::string> all =
        services_->elsewhere_
            ? ask_elsewhere("", {{"names", true}}).at("names").get<std::vector<std::string>>()
            : services_->names();
    for (const std::string& each : all) {
      const py::object name = steal(PyUnicode_FromString(each.c_str()));
      if (!name || PyList_Append(list.ptr(), name.ptr()) != 0) return nullptr;
    }
    return list.release().ptr();
  }

 private:
  Json read_arguments(const std::string& name, PyObject* given) {
    try {
      return conversions_->to_json(given);
    } catch (const Error& error) {
      refuse(PyExc_TypeError, said_of(error, "the result", "the argument of services." + name));
    }
  }

  std::shared_ptr<Provided> find(const std::string& name, int calls) {
    if (auto provided = services_->find(name, calls)) return provided;
    if (!services_->is_open()) refuse_closed(name, closed_host);
    refuse_missing(name, services_->said_missing(name));
  }

  [[noreturn]] static void refuse_closed(const std::string& name, std::string_view message) {
    raise("HostClosed", name, "", message, to_string(ErrorKind::HostClosed), nullptr);
    throw Refused();
  }

  [[noreturn]] static void refuse_missing(const std::string& name, std::string_view message) {
    raise("ServiceNotFound", name, "", message, "", nullptr);
    throw Refused();
  }

  // With what came instead of an answer as Python's error.
  Json ask_elsewhere(const std::string& name, const Json& question) {
    Json said;
    {
      const GilRelease no_gil;
      said = services_->elsewhere_(question);
    }
    if (said.contains("missing")) refuse_missing(name, said.at("missing").get<std::string>());
    if (said.contains("closed")) refuse_closed(name, said.at("closed").get<std::string>());
    if (said.contains("raised")) {
      const Json& raised = said.at("raised");
      raise("ServiceError", name, raised.at("type").get<std::string>(),
            raised.at("message").get<std::string>(), raised.at("kind").get<std::string>(), nullptr);
      throw Refused();
    }
    return said;
  }

  Json answer_to(const std::string& name, const Json& arguments) {
    if (services_->elsewhere_)
      return ask_elsewhere(name, {{"call", name}, {"arguments", arguments}}).at("answer");
    std::shared_ptr<Provided> provided = find(name, 1);
    const GilRelease no_gil;  // also while the last call of a service that was withdrawn gives it up
    const Call call(*services_, std::move(provided));
    return call(arguments);
  }

  std::shared_ptr<Services> services_;
  std::shared_ptr<Conversions> conversions_;
};

void Services::provide(std::string_view name, Service function, std::string doc) {
  std::string_view problem = problem_of_name(name);
  if (problem.empty() && name.find('.') != std::string_view::npos) problem = "it has a dot";
  if (problem.empty() && name.starts_with('_')) problem = "it begins with an underscore";
  if (problem.empty() && !function) problem = "there is no function behind it";
  if (!problem.empty()) {
    throw Error({.kind = ErrorKind::InvalidName,
                 .phase = Phase::Start,
                 .message = quoted_name(name) + " cannot be a service: " + std::string(problem),
                 .hint = "a module calls it by services.NAME, so it is one identifier"});
  }
  auto provided = std::make_shared<Provided>(Provided{std::move(function), std::move(doc)});
  {
    const std::lock_guard lock(mutex_);
    provided_[std::string(name)].swap(provided);
  }
  if (provided) give_up(provided);
}

bool Services::withdraw(std::string_view name) {
  std::shared_ptr<Provided> provided;
  {
    const std::lock_guard lock(mutex_);
    const auto found = provided_.find(name);
    if (found == provided_.end()) return false;
    provided = std::move(found->second);
    provided_.erase(found);
  }
  give_up(provided);
  return true;
}

void Services::close() noexcept {
  std::map<std::string, std::shared_ptr<Provided>, std::less<>> all;
  {
    const std::lock_guard lock(mutex_);
    open_ = false;
    all.swap(provided_);
  }
  for (const auto& each : all) give_up(each.second);
}

// What the service uses may be gone once this returns, so nobody may be in it any more. Only who is in a
// service himself does not wait: it might be for himself, or for one that waits for him. A call may need the
// GIL to come to its end.
void Services::give_up(const std::shared_ptr<Provided>& provided) noexcept {
  const GilReleaseIfHeld no_gil;
  std::unique_lock lock(mutex_);
  if (Call::levels() == 0) call_ended_.wait(lock, [&] { return provided->calls == 0; });
  const bool is_unused = provided->calls == 0;
  lock.unlock();
  if (is_unused) provided->function = nullptr;  // also where a call still holds it by a hair
}

bool Services::is_open() const noexcept {
  const std::lock_guard lock(mutex_);
  return open_;
}

std::vector<std::string> Services::names() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& each : provided_) names.push_back(each.first);
  return names;
}

// With so many more calls noted in it; null if there is none. The mutex is held for no call into Python.
std::shared_ptr<Services::Provided> Services::find(const std::string& name, int calls) {
  const std::lock_guard lock(mutex_);
  const auto found = provided_.find(name);
  if (found == provided_.end()) return nullptr;
  found->second->calls += calls;
  return found->second;
}

std::string Services::said_missing(const std::string& name) const {
  std::string hint;
  for (const std::string& close : close_names(name, names())) {
    hint += (hint.empty() ? "; did you mean '" : " or '") + close + "'";
  }
  return "the host provides no service " + quoted_name(name) + hint + (hint.empty() ? "" : "?");
}

Json Services::answer(const Json& question) {
  if (question.contains("names")) return {{"names", names()}};
  const bool is_call = question.contains("call");
  const auto name = question.at(is_call ? "call" : "doc").get<std::string>();
  const std::shared_ptr<Provided> provided = find(name, is_call ? 1 : 0);
  if (!provided && !is_open()) return {{"closed", closed_host}};
  if (!provided) return {{"missing", said_missing(name)}};
  if (!is_call) return {{"doc", provided->doc}};
  const auto raised = [](std::string type, std::string_view message, std::string_view kind) {
    return Json{{"raised", {{"type", std::move(type)}, {"message", message}, {"kind", kind}}}};
  };
  const Call call(*this, provided);
  try {
    return {{"answer", call(question.at("arguments"))}};
  } catch (const Error& error) {
    return raised(current_exception_type(), error.message(), to_string(error.kind()));
  } catch (const std::exception& error) {
    return raised(current_exception_type(), error.what(), {});
  } catch (...) {
    return raised(current_exception_type(), {}, {});
  }
}

std::string Services::stubs() const {
  const std::lock_guard lock(mutex_);
  std::string text = "# What modules may call by `from pyhost import services`.\n";
  if (provided_.empty()) return text + "# This host provides nothing.\n";
  // By names that no service can have: one that is called dict hides Python's own.
  text += "from builtins import dict as _dict, str as _str\n";
  text += "from typing import Any as _Any, overload as _overload\n";
  for (const auto& [name, provided] : provided_) {
    std::string doc;
    if (!provided->doc.empty()) {
      // A JSON string is a Python string, whatever is in it.
      doc = "\n    " + json_text_with_replacements(provided->doc) + "\n   ";
    }
    text += "\n@_overload\ndef " + name + "(arguments: _dict[_str, _Any], /) -> _Any:" + doc + " ...\n";
    text += "@_overload\ndef " + name + "(**arguments: _Any) -> _Any: ...\n";
  }
  return text;
}

namespace {

// What a module asked, with each way to fail as Python's error.
template <class Answer>
PyObject* answering(std::string_view service, Answer answer) {
  try {
    return answer();
  } catch (const Refused&) {
    return nullptr;
  } catch (...) {
    return raise_handled(service);
  }
}

}  // namespace

void Services::add_to_python(const std::shared_ptr<Services>& services,
                             const std::shared_ptr<Conversions>& conversions) {
  static PyMethodDef call{"call_service",
                          [](PyObject* self, PyObject* arguments) -> PyObject* {
                            const char* name = nullptr;
                            PyObject *positional = nullptr, *named = nullptr;
                            if (PyArg_ParseTuple(arguments, "sO!O!", &name, &PyTuple_Type, &positional,
                                                 &PyDict_Type, &named) == 0) {
                              return nullptr;
                            }
                            return answering(name, [&] { return Asked(self).call(name, positional, named); });
                          },
                          METH_VARARGS, nullptr};
  static PyMethodDef doc{"service_doc",
                         [](PyObject* self, PyObject* name) -> PyObject* {
                           Py_ssize_t size = 0;  // a name may hold a NUL
                           const char* const utf8 = PyUnicode_AsUTF8AndSize(name, &size);
                           if (utf8 == nullptr) PyErr_Clear();
                           const std::string text =
                               utf8 != nullptr ? std::string(utf8, static_cast<std::size_t>(size)) : "";
                           return answering(text, [&] { return Asked(self).doc(text); });
                         },
                         METH_O, nullptr};
  static PyMethodDef names{"service_names",
                           [](PyObject* self, PyObject*) -> PyObject* {
                             return answering("", [&] { return Asked(self).names(); });
                           },
                           METH_NOARGS, nullptr};
  const auto from_here = std::make_shared<Door>(Door{services, conversions});
  for (PyMethodDef* each : {&call, &doc, &names}) add_native_function(*each, from_here);
}

}  // namespace pyhost::detail
