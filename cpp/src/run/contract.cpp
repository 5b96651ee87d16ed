// Finds out why a call into a module failed. The rules of the contract and their messages are in Python, in
// pyhost._contract_rules, where pyhost.testing and `pyhost check` use them, too.
#include "run/contract.hpp"

#include <algorithm>

#include "error/source_lines.hpp"
#include "interpreter/output.hpp"
#include "python/cpp_exception.hpp"
#include "python/traceback.hpp"
#include "run/module_code.hpp"

namespace pyhost::detail {

namespace {

constexpr std::size_t longest_problem = std::size_t{64} * 1024;

// Returns the place in the file; the first line if the line is not known.
Frame place_in(std::string_view file, int line) {
  Frame frame;
  frame.file = file;
  frame.line = std::max(line, 1);
  if (line > 0) frame.source = SourceFiles().line(frame.file, line);
  return frame;
}

// Throws BadContract if this rule of pyhost._contract_rules is broken. The format and the arguments are those
// of PyObject_CallMethod.
template <class... Arguments>
void throw_if_broken(Phase phase, const std::string& module, const char* rule, const char* format,
                     Arguments... arguments) {
  const py::object rules = steal(PyImport_ImportModule("pyhost._contract_rules"));
  const py::object broken =
      rules ? steal(PyObject_CallMethod(rules.ptr(), rule, format, arguments...)) : py::object();
  PyObject *code = nullptr, *problem = nullptr, *sentence = nullptr, *hint = nullptr, *file = nullptr;
  int line = 0;
  const bool is_broken =
      broken && broken.ptr() != Py_None &&
      PyArg_ParseTuple(broken.ptr(), "UUUUUi", &code, &problem, &sentence, &hint, &file, &line) != 0;
  PyErr_Clear();
  if (!is_broken) return;
  throw Error({.kind = ErrorKind::BadContract,
               .phase = phase,
               .module = module,
               .message = "module '" + module +
                          "' breaks the contract: " + detail::text_of(sentence, longest_problem),
               .hint = std::string(view(hint)),
               .place = place_in(view(file), line)});
}

bool is_a(PyObject* exception, PyObject* type) {
  return exception != nullptr && PyErr_GivenExceptionMatches(exception, type) != 0;
}

// Returns the traceback, or None: an exception that Python itself raises at a lookup or a call has none.
py::object traceback_of(const py::object& raised) {
  const py::object traceback = raised ? steal(PyException_GetTraceback(raised.ptr())) : py::object();
  return traceback ? traceback : borrow(Py_None);
}

// Calls the module's on_error, if it has one. It can neither replace nor swallow the error: an exception from
// it is returned as a note, and the traceback is restored afterwards. The call is a part of the run, and can
// be cancelled with it.
std::string call_on_error(const ModuleData& module, PyObject* raised) {
  if (raised == nullptr) return {};
  const py::object on_error = steal(PyObject_GetAttrString(module.module.ptr(), "on_error"));
  if (!on_error && PyErr_ExceptionMatches(PyExc_AttributeError)) {
    PyErr_Clear();
    return {};
  }
  const py::object traceback = steal(PyException_GetTraceback(raised));
  const py::object done = steal(call_module_code(CurrentRun::this_thread(), [&] {
    return on_error ? PyObject_CallOneArg(on_error.ptr(), raised) : nullptr;
  }));
  std::string note;
  if (!done) {
    const py::object failure = take_raised();
    if (failure.ptr() != raised) note = "its on_error failed: " + one_line(describe(failure.ptr()));
  }
  if (PyException_SetTraceback(raised, traceback ? traceback.ptr() : Py_None) != 0) PyErr_Clear();
  flush_output();
  return note;
}

// Throws an exception from create or run, after calling the module's on_error.
[[noreturn]] void throw_module_raised(Phase phase, const ModuleData& module, const py::object& raised) {
  std::string note = call_on_error(module, raised.ptr());
  PythonException exception = describe(raised.ptr());
  if (!note.empty()) exception.notes.push_back(std::move(note));
  throw_raised_with_cpp_exception(ErrorKind::ModuleRaised, phase, module.name,
                                  "module '" + module.name + "' raised ", raised.ptr(), std::move(exception));
}

}  // namespace

std::shared_ptr<ModuleData> read_module(std::shared_ptr<HostState> host, std::string name,
                                        py::object module) {
  py::object create = steal(PyObject_GetAttrString(module.ptr(), "create"));
  if (!create) {
    const py::object raised = take_raised();
    throw_if_broken(Phase::Import, name, "broken_module", "OOO", module.ptr(), raised.ptr(),
                    traceback_of(raised).ptr());
    throw_raised(ErrorKind::ImportFailed, Phase::Import, name,
                 "module '" + name + "' has a create that cannot be read: ", describe(raised.ptr()));
  }
  if (PyCallable_Check(create.ptr()) == 0)
    throw_if_broken(Phase::Import, name, "check_callable", "sOO", "create", create.ptr(), module.ptr());
  return std::make_shared<ModuleData>(std::move(host), std::move(name), std::move(module), std::move(create));
}

void throw_module_raised(Phase phase, const ModuleData& module) {
  throw_module_raised(phase, module, take_raised());
}

void throw_from_create(const ModuleData& module) {
  const py::object raised = take_raised();
  if (is_a(raised.ptr(), PyExc_TypeError)) {
    throw_if_broken(Phase::Create, module.name, "broken_create", "OOO", module.create.ptr(), raised.ptr(),
                    traceback_of(raised).ptr());
  }
  throw_module_raised(Phase::Create, module, raised);
}

void throw_from_run(const ModuleData& module, PyObject* object) {
  const py::object raised = take_raised();
  if (is_a(raised.ptr(), PyExc_AttributeError) || is_a(raised.ptr(), PyExc_TypeError)) {
    throw_if_broken(Phase::Run, module.name, "broken_run", "OOOO", object, module.create.ptr(), raised.ptr(),
                    traceback_of(raised).ptr());
  }
  throw_module_raised(Phase::Run, module, raised);
}

}  // namespace pyhost::detail
