// Finds out from Python's error why a call into a module failed.
#include "run/contract.hpp"

#include "error/source_lines.hpp"
#include "interpreter/output.hpp"
#include "python/cpp_exception.hpp"
#include "run/module_code.hpp"

namespace pyhost::detail {

namespace {

constexpr const char* contract_hint = "a module exports create(state), and what that returns has run()";

// Where an object was defined; a file at least, if it is a module.
Frame place_of(PyObject* object) {
  const py::object inspect = steal(PyImport_ImportModule("inspect"));
  const py::object file =
      inspect ? steal(PyObject_CallMethod(inspect.ptr(), "getsourcefile", "O", object)) : py::object();
  const py::object lines =
      file ? steal(PyObject_CallMethod(inspect.ptr(), "getsourcelines", "O", object)) : py::object();
  Frame frame;
  frame.file = view(file.ptr());
  if (lines && PyTuple_Check(lines.ptr()) && PyTuple_GET_SIZE(lines.ptr()) == 2) {
    const long line = PyLong_AsLong(PyTuple_GET_ITEM(lines.ptr(), 1));
    frame.line = line > 0 && line < (1L << 30) ? static_cast<int>(line) : 1;
  }
  PyErr_Clear();
  if (frame.line == 0) frame.line = 1;
  if (!frame.file.empty() && !PyModule_Check(object))
    frame.source = SourceFiles().line(frame.file, frame.line);
  return frame;
}

[[noreturn]] void break_contract(Phase phase, const std::string& module, const std::string& problem,
                                 PyObject* where) {
  throw Error({.kind = ErrorKind::BadContract,
               .phase = phase,
               .module = module,
               .message = "module '" + module + "' breaks the contract: " + problem,
               .hint = contract_hint,
               .place = place_of(where)});
}

bool is_a(PyObject* exception, PyObject* type) {
  return exception != nullptr && PyErr_GivenExceptionMatches(exception, type) != 0;
}

// An object without the attribute, also one whose __getattr__ says so. What Python itself raises at a
// look-up or a call has no frames; what code of the module raises has some.
bool says_attribute_is_missing(PyObject* raised) {
  if (!is_a(raised, PyExc_AttributeError)) return false;
  const std::vector<Frame> frames = frames_of(raised);
  return frames.empty() || (frames.size() == 1 && frames[0].function == "__getattr__");
}

// Whether the signature of a callable that raised a TypeError takes other arguments than it was given.
bool takes_other_arguments(PyObject* raised, PyObject* callable, PyObject* arguments) {
  if (!is_a(raised, PyExc_TypeError) || !frames_of(raised).empty()) return false;
  const py::object inspect = steal(PyImport_ImportModule("inspect"));
  const py::object signature =
      inspect ? steal(PyObject_CallMethod(inspect.ptr(), "signature", "O", callable)) : py::object();
  const py::object bind = signature ? steal(PyObject_GetAttrString(signature.ptr(), "bind")) : py::object();
  const bool misfit = bind && !steal(PyObject_CallObject(bind.ptr(), arguments));
  PyErr_Clear();
  return misfit;
}

// The module's own handler of errors, if it exports one. What it raises is returned as a note, because it
// can neither replace nor swallow the error; it leaves the exception's traceback as it was. It is a part of
// the run, and can be stopped as such.
std::string call_on_error(const ModuleData& module, PyObject* raised) {
  if (raised == nullptr) return {};
  const py::object on_error = steal(PyObject_GetAttrString(module.module.ptr(), "on_error"));
  if (!on_error && PyErr_ExceptionMatches(PyExc_AttributeError)) {
    PyErr_Clear();
    return {};
  }
  const py::object traceback = steal(PyException_GetTraceback(raised));
  const py::object done = call_module_code(CurrentRun::this_thread(), [&] {
    return on_error ? PyObject_CallOneArg(on_error.ptr(), raised) : nullptr;
  });
  std::string note;
  if (!done) {
    const py::object failure = take_raised();
    if (failure.ptr() != raised) note = "its on_error failed: " + one_line(describe(failure.ptr()));
  }
  if (PyException_SetTraceback(raised, traceback ? traceback.ptr() : Py_None) != 0) PyErr_Clear();
  flush_output();
  return note;
}

// Throws what create or run raised, after the module's on_error has seen it.
[[noreturn]] void throw_module_raised(Phase phase, const ModuleData& module, const py::object& raised) {
  std::string note = call_on_error(module, raised.ptr());
  PythonException exception = describe(raised.ptr());
  if (!note.empty()) exception.notes.push_back(std::move(note));
  throw_raised_with_cpp_exception(ErrorKind::ModuleRaised, phase, module.name,
                                  "module '" + module.name + "' raised ", raised.ptr(), std::move(exception));
}

[[noreturn]] void throw_from_call(Phase phase, const ModuleData& module, const py::object& raised,
                                  PyObject* callable, std::size_t arguments, const char* wanted) {
  const py::object stand_ins = steal(arguments == 1 ? PyTuple_Pack(1, Py_None) : PyTuple_New(0));
  if (takes_other_arguments(raised.ptr(), callable, stand_ins.ptr())) {
    break_contract(phase, module.name,
                   std::string(wanted) + " cannot be called: " + describe(raised.ptr()).message, callable);
  }
  throw_module_raised(phase, module, raised);
}

}  // namespace

std::shared_ptr<ModuleData> read_module(std::shared_ptr<HostState> host, std::string name,
                                        py::object module) {
  py::object create = steal(PyObject_GetAttrString(module.ptr(), "create"));
  if (!create) {
    const py::object raised = take_raised();
    if (!says_attribute_is_missing(raised.ptr())) {
      throw_raised(ErrorKind::ImportFailed, Phase::Import, name,
                   "module '" + name + "' could not be asked for its create: ", describe(raised.ptr()));
    }
    break_contract(Phase::Import, name, "it has no create", module.ptr());
  }
  if (PyCallable_Check(create.ptr()) == 0) {
    break_contract(Phase::Import, name, "its create is not callable but of type " + type_of(create.ptr()),
                   module.ptr());
  }
  return std::make_shared<ModuleData>(std::move(host), std::move(name), std::move(module), std::move(create));
}

void throw_module_raised(Phase phase, const ModuleData& module) {
  throw_module_raised(phase, module, take_raised());
}

void throw_from_create(const ModuleData& module) {
  throw_from_call(Phase::Create, module, take_raised(), module.create.ptr(), 1, "create(state)");
}

void throw_from_run(const ModuleData& module, PyObject* object) {
  const std::string& name = module.name;
  const py::object raised = take_raised();
  const bool perhaps_missing = says_attribute_is_missing(raised.ptr());
  py::object run;
  if (perhaps_missing || (is_a(raised.ptr(), PyExc_TypeError) && frames_of(raised.ptr()).empty())) {
    run = steal(PyObject_GetAttr(object, module.run_name.ptr()));
    PyErr_Clear();
  }
  if (!run && perhaps_missing) {
    if (PyCoro_CheckExact(object)) {
      if (!steal(PyObject_CallMethod(object, "close", nullptr))) PyErr_Clear();  // or Python warns of it
      break_contract(Phase::Run, name, "its create is async, and returned a coroutine", module.create.ptr());
    }
    const std::string what = object == Py_None ? "None" : "an object of type " + type_of(object);
    break_contract(Phase::Run, name, "its create returned " + what + ", which has no run",
                   object == Py_None ? module.create.ptr() : reinterpret_cast<PyObject*>(Py_TYPE(object)));
  }
  if (run && PyCallable_Check(run.ptr()) == 0) {
    break_contract(Phase::Run, name, "its run is not callable but of type " + type_of(run.ptr()),
                   reinterpret_cast<PyObject*>(Py_TYPE(object)));
  }
  if (!run) throw_module_raised(Phase::Run, module, raised);
  throw_from_call(Phase::Run, module, raised, run.ptr(), 0, "run()");
}

}  // namespace pyhost::detail
