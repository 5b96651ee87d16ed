// Whether a handle can still be used, and how a host reports errors.
#include "run/handle_data.hpp"
#include "run/life_cycle.hpp"

namespace pyhost::detail {

void HostState::throw_closed(std::string_view module) {
  throw Error({.kind = ErrorKind::HostClosed,
               .phase = Phase::Close,
               .module = std::string(module),
               .message = "module '" + std::string(module) + "' belongs to a host that is closed",
               .hint = "keep the Host for as long as its modules are used, or load the module again",
               .closed = Closed::Host});
}

void HostState::throw_wrong_interpreter(std::string_view module) {
  throw Error(
      {.kind = ErrorKind::HostClosed,
       .phase = Phase::Run,
       .module = std::string(module),
       .message = "module '" + std::string(module) +
                  "' cannot be used from here: its host is in another interpreter than this pool worker",
       .hint = "submit it to a pool of its own, or use Isolation::Process",
       .closed = Closed::OtherInterpreter});
}

void HostState::notify_error(const Error& error) const noexcept {
  static thread_local bool in_on_error = false;
  const bool of_a_module =
      error.kind() == ErrorKind::ImportFailed || error.kind() == ErrorKind::BadContract ||
      error.kind() == ErrorKind::ModuleRaised || error.kind() == ErrorKind::InvalidResult ||
      error.kind() == ErrorKind::TimedOut || error.kind() == ErrorKind::WorkerCrashed;
  if (!on_error || !of_a_module || in_on_error) return;
  in_on_error = true;
  try {
    const GilReleaseIfHeld no_gil;
    on_error(error);
  } catch (...) {
    // Exceptions from on_error are ignored: the caller gets the error of the module.
  }
  in_on_error = false;
}

void report_and_rethrow(const HostState& host, const Error& error) {
  CallEnd::check(&error);
  host.notify_error(error);
  rethrow_cpp_exception_of(error, CurrentRun::is_outermost_here());
  throw;
}

void throw_moved_from() {
  throw Error(
      {.kind = ErrorKind::HostClosed,
       .phase = Phase::Close,
       .message = "this handle is empty: it was moved from, or consumed by `std::move(instance).run()`",
       .hint = "use the handle that it was moved to",
       .closed = Closed::Handle});
}

void ModuleData::throw_not_loaded() const {
  host->check_open(name);
  throw Error({.kind = ErrorKind::HostClosed,
               .phase = Phase::Close,
               .module = name,
               .message = "module '" + name + "' has been unloaded",
               .hint = "load it again",
               .closed = Closed::Module});
}

void InstanceData::throw_not_open() const {
  module->check_loaded();
  throw Error({.kind = ErrorKind::HostClosed,
               .phase = Phase::Close,
               .module = module->name,
               .message = "this instance of module '" + module->name + "' has been closed",
               .hint = "create another one",
               .closed = Closed::Instance});
}

namespace {

py::object interned(const std::string& name) {
  return require(PyUnicode_InternFromString(name.c_str()), "making a str");
}

}  // namespace

ModuleData::ModuleData(std::shared_ptr<HostState> host_state, std::string module_name, py::object imported,
                       py::object factory)
    : host(std::move(host_state)),
      name(std::move(module_name)),
      module(std::move(imported)),
      create(std::move(factory)),
      full_name(interned("modules." + name)),
      create_name(interned("create")),
      run_name(interned("run")),
      sys_modules(PyImport_GetModuleDict()),
      dict(PyModule_CheckExact(module.ptr()) ? PyModule_GetDict(module.ptr()) : nullptr) {}

bool ModuleData::is_in_sys_modules() const { return dict_item(sys_modules, full_name.ptr()) == module.ptr(); }

// Looks into the dict first, because that is faster. The dict alone does not tell, because the module may
// have a __getattr__.
bool ModuleData::look_up_current() const {
  const DictVersion modules = DictVersion::of(sys_modules);  // before looking up, which may call an __eq__
  if (!is_in_sys_modules()) return false;
  if (dict != nullptr && PyModule_CheckExact(module.ptr())) {
    const DictVersion version = DictVersion::of(dict);
    if (dict_item(dict, create_name.ptr()) == create.ptr()) {
      known_modules = modules;
      known_dict = version;
      return true;
    }
  }
  const bool current = steal(PyObject_GetAttr(module.ptr(), create_name.ptr())).is(create);
  PyErr_Clear();
  return current;
}

void InstanceData::close_last() noexcept { close_quietly(*this, nullptr); }

}  // namespace pyhost::detail
