// Reads exceptions: message, frames, notes, chain and members. Module code may have made each of them
// invalid.
#include "python/exception.hpp"

#include <optional>
#include <unordered_map>
#include <utility>

#include "python/deadline.hpp"
#include "python/hint.hpp"
#include "python/traceback.hpp"

namespace pyhost::detail {

namespace {

constexpr std::size_t longest_message = std::size_t{64} * 1024;
constexpr std::size_t longest_inner_message = std::size_t{8} * 1024;  // of notes, causes and members
constexpr std::size_t longest_name = 1000;
constexpr std::size_t most_notes = 20;
constexpr std::size_t most_members = 20;
constexpr std::size_t chain_at_each_end = 10;
constexpr std::size_t longest_chain_walked = 100'000;
constexpr int deepest_group = 10;
constexpr std::size_t most_exceptions = 100;
constexpr std::chrono::seconds patience(1);

PyBaseExceptionObject* fields(PyObject* exception) {
  return reinterpret_cast<PyBaseExceptionObject*>(exception);
}

// Read from the type object itself, because a metaclass may return a wrong __name__ or raise.
std::string qualified_name(PyTypeObject* type) {
  if ((type->tp_flags & Py_TPFLAGS_HEAPTYPE) == 0) return type->tp_name;
  const std::string name = text_of(reinterpret_cast<PyHeapTypeObject*>(type)->ht_qualname, longest_name);
  PyObject* module = type->tp_dict != nullptr ? PyDict_GetItemString(type->tp_dict, "__module__") : nullptr;
  const std::string home = text_of(module, longest_name);
  return home.empty() || home == "builtins" ? name : home + "." + name;
}

// Returns the builtin base of a type that is written in Python.
PyTypeObject* builtin_base(PyTypeObject* type) {
  while ((type->tp_flags & Py_TPFLAGS_HEAPTYPE) != 0 && type->tp_base != nullptr) type = type->tp_base;
  return type;
}

bool is_plain(PyObject* object) {
  return object == Py_None || PyUnicode_CheckExact(object) || PyLong_CheckExact(object) ||
         PyFloat_CheckExact(object) || PyBytes_CheckExact(object) || PyBool_Check(object);
}

// Returns whether str() of the exception runs only Python's own code.
bool has_plain_message(PyObject* exception) {
  PyTypeObject* base = builtin_base(Py_TYPE(exception));
  if (Py_TYPE(exception)->tp_str != base->tp_str || PyErr_GivenExceptionMatches(exception, PyExc_OSError)) {
    return false;
  }
  PyObject* arguments = fields(exception)->args;
  if (arguments == nullptr || !PyTuple_CheckExact(arguments)) return false;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(arguments); ++i) {
    if (!is_plain(PyTuple_GET_ITEM(arguments, i))) return false;
  }
  return true;
}

// Returns an attribute from the exception's own dict, whatever its class does; borrowed.
PyObject* attribute(PyObject* exception, const char* name) {
  PyObject* dict = fields(exception)->dict;
  return dict != nullptr && PyDict_Check(dict) ? PyDict_GetItemString(dict, name) : nullptr;
}

// Returns the members of an exception group: Python's own, that of the backport, or of a class that keeps
// exceptions in an attribute of this name.
py::object members_of(PyObject* exception) {
#if PY_VERSION_HEX >= 0x030b0000
  if (PyObject_TypeCheck(exception, reinterpret_cast<PyTypeObject*>(PyExc_BaseExceptionGroup)) != 0) {
    return borrow(reinterpret_cast<PyBaseExceptionGroupObject*>(exception)->excs);
  }
#endif
  for (const char* name : {"_exceptions", "exceptions"}) {
    PyObject* held = attribute(exception, name);
    if (held == nullptr || (!PyTuple_Check(held) && !PyList_Check(held))) continue;
    const Py_ssize_t size = PySequence_Fast_GET_SIZE(held);
    if (size > 0 && PyExceptionInstance_Check(PySequence_Fast_GET_ITEM(held, 0)) != 0) return borrow(held);
  }
  return {};
}

struct ChainedException {
  py::object exception;
  Link link = Link::None;
};

// Returns the exception that a Python traceback would show before this one.
ChainedException earlier_of(PyObject* exception) {
  py::object cause = steal(PyException_GetCause(exception));
  if (cause) return {std::move(cause), Link::Cause};
  if (fields(exception)->suppress_context != 0) return {};
  return {steal(PyException_GetContext(exception)), Link::Context};
}

// Reads one exception with its chain and its members.
class Describer {
 public:
  PythonException whole(PyObject* exception, std::size_t message_limit, int depth) {
    PythonException described = one(exception, message_limit, depth);
    const std::vector<ChainedException> chain = chain_of(exception);
    described.chain_left_out = take_both_ends(chain.size(), chain_at_each_end, [&](std::size_t i) {
      if (read_ >= most_exceptions) return;
      described.chain.push_back(one(chain[i].exception.ptr(), longest_inner_message, depth));
      described.chain.back().link = chain[i].link;
    });
    described.chain_left_out = chain.size() - described.chain.size();
    return described;
  }

 private:
  PythonException one(PyObject* exception, std::size_t message_limit, int depth) {
    ++read_;
    seen_.emplace(exception, borrow(exception));
    PythonException described;
    described.type = type_of(exception);
    described.message = message_of(exception, message_limit);
    const py::object traceback = steal(PyException_GetTraceback(exception));
    read_traceback(traceback.ptr(), &sources_, described);
    read_notes(exception, described);
    if (PyErr_GivenExceptionMatches(exception, PyExc_SyntaxError) != 0) {
      add_syntax_error_place(exception, described);
    }
    if (PyErr_GivenExceptionMatches(exception, PyExc_ImportError) != 0) {
      described.import_name = text_of(reinterpret_cast<PyImportErrorObject*>(exception)->name, longest_name);
    }
    read_members(exception, described, depth);
    return described;
  }

  std::string message_of(PyObject* exception, std::size_t limit) {
    if (!has_plain_message(exception)) {
      if (!deadline_) deadline_.emplace(patience);
      if (deadline_->passed()) return "(no message: the __str__ of another exception used up the time)";
    }
    const py::object str = steal(PyObject_Str(exception));
    if (str) return text_of(str.ptr(), limit);
    const py::object raised = take_raised();
    if (deadline_ && deadline_->passed()) return "(no message: its __str__ did not return in time)";
    return "(no message: its __str__ raised " + type_of(raised.ptr()) + ")";
  }

  // Stops at an exception that was read already: then the chain is a ring.
  std::vector<ChainedException> chain_of(PyObject* exception) {
    std::vector<ChainedException> chain;
    ChainedException at = earlier_of(exception);
    while (at.exception && chain.size() < longest_chain_walked &&
           seen_.emplace(at.exception.ptr(), at.exception).second) {
      ChainedException next = earlier_of(at.exception.ptr());
      chain.push_back(std::move(at));
      at = std::move(next);
    }
    return chain;
  }

  void read_members(PyObject* exception, PythonException& described, int depth) {
    const py::object members = members_of(exception);
    if (!members) return;
    const Py_ssize_t size = PySequence_Fast_GET_SIZE(members.ptr());
    for (Py_ssize_t i = 0; i < size && i < PySequence_Fast_GET_SIZE(members.ptr()); ++i) {
      if (described.members.size() == most_members || depth == deepest_group || read_ >= most_exceptions)
        break;
      const py::object member = borrow(PySequence_Fast_GET_ITEM(members.ptr(), i));
      if (PyExceptionInstance_Check(member.ptr()) == 0 || seen_.contains(member.ptr())) continue;
      described.members.push_back(whole(member.ptr(), longest_inner_message, depth + 1));
    }
    described.members_left_out = static_cast<std::size_t>(size) - described.members.size();
  }

  static void read_notes(PyObject* exception, PythonException& described) {
    PyObject* notes = attribute(exception, "__notes__");
    if (notes == nullptr) return;
    if (!PyList_Check(notes) && !PyTuple_Check(notes)) {
      described.notes.push_back("(__notes__ is not a list but of type " + type_of(notes) + ")");
      return;
    }
    const auto size = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(notes));
    for (std::size_t i = 0; i < size; ++i) {
      if (i == most_notes) {
        described.notes.push_back("(" + std::to_string(size - i) + " more notes are left out)");
        return;
      }
      PyObject* note = PySequence_Fast_GET_ITEM(notes, static_cast<Py_ssize_t>(i));
      described.notes.push_back(PyUnicode_Check(note) ? text_of(note, longest_inner_message)
                                                      : "(a note of type " + type_of(note) + ")");
    }
  }

  // The place of a syntax error is not a frame of the traceback. It is added as one, for readers.
  void add_syntax_error_place(PyObject* exception, PythonException& described) {
    const auto* error = reinterpret_cast<PySyntaxErrorObject*>(exception);
    const auto number = [](PyObject* object) {
      const long value = object != nullptr && PyLong_CheckExact(object) ? PyLong_AsLong(object) : 0;
      PyErr_Clear();
      return value > 0 && value < (1L << 30) ? static_cast<int>(value) : 0;
    };
    Frame place;
    place.file = text_of(error->filename, longest_name);
    place.line = number(error->lineno);
    if (place.file.empty() || place.line == 0) return;
    place.source = sources_.line(place.file, place.line);
    if (place.source.empty()) place.source = shown_line(text_of(error->text, longest_name));
    const int beyond = column_of_byte(place.source, static_cast<int>(place.source.size()));
    place.column = number(error->offset);
    if (place.column > beyond) place.column = beyond;
#if PY_VERSION_HEX >= 0x030a0000
    const bool same_line = number(error->end_lineno) == place.line;
    place.end_column = same_line ? number(error->end_offset) : beyond;
#endif
    if (place.end_column > beyond + 1) place.end_column = beyond;
    if (place.column > 0 && place.end_column <= place.column) place.end_column = place.column + 1;
    described.frames.push_back(std::move(place));
  }

  SourceFiles sources_;
  std::unordered_map<PyObject*, py::object> seen_;  // with a reference, so that no address is used again
  std::size_t read_ = 0;
  std::optional<Deadline> deadline_;  // started by the first exception whose str() runs its own code
};

}  // namespace

py::object take_raised() {
#if PY_VERSION_HEX >= 0x030c0000
  return steal(PyErr_GetRaisedException());
#else
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  const py::object owners[] = {steal(type), steal(traceback)};
  if (traceback != nullptr && PyExceptionInstance_Check(value) != 0) {
    PyException_SetTraceback(value, traceback);
  }
  return steal(value);
#endif
}

PythonException describe(PyObject* exception) {
  if (exception == nullptr || PyExceptionInstance_Check(exception) == 0) {
    PythonException none;
    none.type = "SystemError";
    none.message = "Python reported a failure without an exception";
    return none;
  }
  return Describer().whole(exception, longest_message, 0);
}

PythonException take_exception() { return describe(take_raised().ptr()); }

std::vector<Frame> frames_of(PyObject* exception) {
  PythonException read;
  read_traceback(steal(PyException_GetTraceback(exception)).ptr(), nullptr, read);
  return read.frames;
}

std::string type_of(PyObject* object) { return qualified_name(Py_TYPE(object)); }

std::string one_line(const PythonException& exception) {
  return exception.message.empty() ? exception.type : exception.type + ": " + exception.message;
}

void throw_raised(ErrorKind kind, Phase phase, std::string_view module, std::string_view happened) {
  throw_raised(kind, phase, module, happened, take_exception());
}

void throw_raised(ErrorKind kind, Phase phase, std::string_view module, std::string_view happened,
                  PythonException exception) {
  throw Error({.kind = kind,
               .phase = phase,
               .module = std::string(module),
               .message = std::string(happened) + one_line(exception),
               .hint = hint_for(exception),
               .exception = std::move(exception)});
}

void throw_not_made(std::string_view doing) {
  throw_raised(ErrorKind::StartupFailed, Phase::Start, {}, std::string(doing) + " failed: ");
}

}  // namespace pyhost::detail
