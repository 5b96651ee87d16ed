// Module and Instance: create and run, and what it means to break the contract.
#include "pyhost/module.hpp"

#include "convert.hpp"
#include "handle_data.hpp"
#include "output.hpp"
#include "pyhost/error.hpp"

namespace pyhost {

namespace detail {

namespace {

constexpr const char* contract_hint = "a module exports create(state), and what that returns has run()";

// Where an object was defined; a file at least, if it is a module.
std::vector<Frame> place_of(PyObject* object) {
  const py::object inspect = own(PyImport_ImportModule("inspect"));
  const py::object file =
      inspect ? own(PyObject_CallMethod(inspect.ptr(), "getsourcefile", "O", object)) : py::object();
  const py::object lines =
      file ? own(PyObject_CallMethod(inspect.ptr(), "getsourcelines", "O", object)) : py::object();
  Frame frame;
  if (const char* name = file && PyUnicode_Check(file.ptr()) ? PyUnicode_AsUTF8(file.ptr()) : nullptr;
      name != nullptr) {
    frame.file = name;
  }
  if (lines && PyTuple_Check(lines.ptr()) && PyTuple_GET_SIZE(lines.ptr()) == 2) {
    const long line = PyLong_AsLong(PyTuple_GET_ITEM(lines.ptr(), 1));
    frame.line = line > 0 && line < (1L << 30) ? static_cast<int>(line) : 1;
  }
  PyErr_Clear();
  if (frame.file.empty()) return {};
  if (frame.line == 0) frame.line = 1;
  return {std::move(frame)};
}

[[noreturn]] void break_contract(Phase phase, const std::string& module, const std::string& problem,
                                 PyObject* where) {
  throw Error({.kind = ErrorKind::BadContract,
               .phase = phase,
               .module = module,
               .message = "module '" + module + "' breaks the contract: " + problem,
               .hint = contract_hint,
               .exception = {{}, {}, place_of(where)}});
}

// What Python itself raises at a call or a look-up has no traceback; what code of the module raises has one.
bool raised_without_frames(PyObject* exception) {
  if (PyErr_ExceptionMatches(exception) == 0) return false;
  const py::error_scope kept;
  return kept.trace == nullptr;
}

// An object without the attribute, also one whose __getattr__ says so.
bool says_attribute_is_missing() {
  if (PyErr_ExceptionMatches(PyExc_AttributeError) == 0) return false;
  if (raised_without_frames(PyExc_AttributeError)) return true;
  const py::error_scope kept;
  const py::object next = own(PyObject_GetAttrString(kept.trace, "tb_next"));
  const py::object frame = own(PyObject_GetAttrString(kept.trace, "tb_frame"));
  const py::object code = frame ? own(PyObject_GetAttrString(frame.ptr(), "f_code")) : py::object();
  const py::object name = code ? own(PyObject_GetAttrString(code.ptr(), "co_name")) : py::object();
  PyErr_Clear();
  return next.is_none() && name && PyUnicode_CompareWithASCIIString(name.ptr(), "__getattr__") == 0;
}

// Whether the signature of a callable that raised a TypeError takes other arguments than it was given.
bool takes_other_arguments(PyObject* callable, PyObject* arguments) {
  if (!raised_without_frames(PyExc_TypeError)) return false;
  const py::error_scope kept;
  const py::object inspect = own(PyImport_ImportModule("inspect"));
  const py::object signature =
      inspect ? own(PyObject_CallMethod(inspect.ptr(), "signature", "O", callable)) : py::object();
  const py::object bind = signature ? own(PyObject_GetAttrString(signature.ptr(), "bind")) : py::object();
  const bool misfit = bind && !own(PyObject_CallObject(bind.ptr(), arguments));
  PyErr_Clear();
  return misfit;
}

[[noreturn]] void throw_from_call(Phase phase, const std::string& module, PyObject* callable,
                                  std::size_t arguments, const char* wanted) {
  const py::tuple stand_ins = arguments == 1 ? py::make_tuple(py::none()) : py::tuple();
  if (takes_other_arguments(callable, stand_ins.ptr())) {
    const PythonException raised = take_exception();
    break_contract(phase, module, std::string(wanted) + " cannot be called: " + raised.message, callable);
  }
  throw_raised(ErrorKind::ModuleRaised, phase, module, "module '" + module + "' raised ");
}

}  // namespace

void HostLife::throw_closed(std::string_view module) {
  throw Error({.kind = ErrorKind::HostClosed,
               .phase = Phase::Close,
               .module = std::string(module),
               .message = "module '" + std::string(module) + "' belongs to a host that is closed",
               .hint = "keep the Host for as long as its modules are used, or load the module again"});
}

namespace {

py::object interned(const std::string& name) {
  return must(PyUnicode_InternFromString(name.c_str()), "making a str");
}

}  // namespace

ModuleData::ModuleData(std::shared_ptr<HostLife> life, std::string module_name, py::object imported,
                       py::object factory)
    : host(std::move(life)),
      name(std::move(module_name)),
      module(std::move(imported)),
      create(std::move(factory)),
      full_name(interned("modules." + name)),
      create_name(interned("create")),
      run_name(interned("run")) {}

bool ModuleData::is_current() const {
  const bool current = PyDict_GetItemWithError(PyImport_GetModuleDict(), full_name.ptr()) == module.ptr() &&
                       own(PyObject_GetAttr(module.ptr(), create_name.ptr())).is(create);
  PyErr_Clear();
  return current;
}

InstanceData::InstanceData(std::shared_ptr<ModuleData> of, py::object created)
    : module(std::move(of)), object(std::move(created)) {}

std::shared_ptr<ModuleData> read_module(std::shared_ptr<HostLife> host, std::string name, py::object module) {
  py::object create = own(PyObject_GetAttrString(module.ptr(), "create"));
  if (!create) {
    if (!says_attribute_is_missing()) {
      throw_raised(ErrorKind::ImportFailed, Phase::Import, name, "module '" + name + "' raised ");
    }
    PyErr_Clear();
    break_contract(Phase::Import, name, "it has no create", module.ptr());
  }
  if (PyCallable_Check(create.ptr()) == 0) {
    break_contract(Phase::Import, name, "its create is not callable but of type " + type_of(create.ptr()),
                   module.ptr());
  }
  return std::make_shared<ModuleData>(std::move(host), std::move(name), std::move(module), std::move(create));
}

namespace {

// What the room of conversion refuses, said of the module that it was for.
template <class Conversion>
auto convert_for(const std::string& module, Conversion convert) {
  try {
    return convert();
  } catch (const Error& error) {
    throw Error({.kind = error.kind(),
                 .phase = error.phase(),
                 .module = module,
                 .message = "module '" + module + "': " + error.message(),
                 .pointer = error.pointer(),
                 .hint = error.hint(),
                 .exception = error.exception()});
  }
}

template <class State>
std::shared_ptr<InstanceData> create_instance(const std::shared_ptr<ModuleData>& data, const State& state) {
  const Enter enter;
  data->host->must_be_open(data->name);
  const py::object dict = convert_for(data->name, [&] { return data->host->conversions.to_python(state); });
  py::object object = with_output_flushed(PyObject_CallOneArg(data->create.ptr(), dict.ptr()), data->name);
  if (!object) throw_from_call(Phase::Create, data->name, data->create.ptr(), 1, "create(state)");
  return std::make_shared<InstanceData>(data, std::move(object));
}

// Why run() could not be called, or what it raised. Only now is it asked whether there is a run at all.
[[noreturn]] void throw_from_run(const InstanceData& data) {
  const std::string& name = data.module->name;
  PyObject* object = data.object.ptr();
  const bool perhaps_missing = says_attribute_is_missing();
  py::object run;
  if (perhaps_missing || raised_without_frames(PyExc_TypeError)) {
    const py::error_scope kept;
    run = own(PyObject_GetAttr(object, data.module->run_name.ptr()));
    PyErr_Clear();
  }
  if (!run && perhaps_missing) {
    PyErr_Clear();
    const std::string what = object == Py_None ? "None" : "an object of type " + type_of(object);
    break_contract(
        Phase::Run, name, "its create returned " + what + ", which has no run",
        object == Py_None ? data.module->create.ptr() : reinterpret_cast<PyObject*>(Py_TYPE(object)));
  }
  if (run && PyCallable_Check(run.ptr()) == 0) {
    PyErr_Clear();
    break_contract(Phase::Run, name, "its run is not callable but of type " + type_of(run.ptr()),
                   reinterpret_cast<PyObject*>(Py_TYPE(object)));
  }
  if (!run) throw_raised(ErrorKind::ModuleRaised, Phase::Run, name, "module '" + name + "' raised ");
  throw_from_call(Phase::Run, name, run.ptr(), 0, "run()");
}

// The caller holds the GIL.
template <class Convert>
auto run_inside(const InstanceData& data, Convert convert) {
  data.module->host->must_be_open(data.module->name);
  // Looked up at each call, as Python itself would: a `run` that is put on an instance later is found.
  const py::object result = with_output_flushed(
      PyObject_CallMethodNoArgs(data.object.ptr(), data.module->run_name.ptr()), data.module->name);
  if (!result) throw_from_run(data);
  return convert_for(data.module->name,
                     [&] { return (data.module->host->conversions.*convert)(result.ptr()); });
}

template <class Convert>
auto run_instance(const InstanceData& data, Convert convert) {
  const Enter enter;
  return run_inside(data, convert);
}

// If no other handle shares the object, it goes while the GIL is held anyway.
template <class Convert>
auto run_temporary(std::shared_ptr<InstanceData>&& data, Convert convert) {
  const Enter enter;
  const std::shared_ptr<InstanceData> mine = std::move(data);
  auto result = run_inside(*mine, convert);
  if (mine.use_count() == 1) mine->object = py::object();
  return result;
}

}  // namespace

}  // namespace detail

const std::string& Module::name() const noexcept { return data_->name; }

Instance Module::create(const Json& state) const { return Instance(detail::create_instance(data_, state)); }

Instance Module::create_from_text(std::string_view state) const {
  return Instance(detail::create_instance(data_, state));
}

Json Instance::run() const& { return detail::run_instance(*data_, &detail::Conversions::to_json); }

Json Instance::run() && { return detail::run_temporary(std::move(data_), &detail::Conversions::to_json); }

std::string Instance::run_text() const& {
  return detail::run_instance(*data_, &detail::Conversions::to_text);
}

std::string Instance::run_text() && {
  return detail::run_temporary(std::move(data_), &detail::Conversions::to_text);
}

}  // namespace pyhost
