// Loads and unloads the modules of a host. Several threads may do so concurrently.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "error/module_name.hpp"
#include "host/host_data.hpp"
#include "host/import_errors.hpp"
#include "interpreter/interpreter_snapshot.hpp"
#include "interpreter/output.hpp"
#include "interpreter/shutdown.hpp"
#include "pyhost/host.hpp"
#include "python/gil.hpp"
#include "run/cancellation.hpp"
#include "run/contract.hpp"
#include "run/current_run.hpp"
#include "run/handle_data.hpp"
#include "run/life_cycle.hpp"
#include "run/module_code.hpp"
#include "run/observers.hpp"
#include "run/spans.hpp"

namespace pyhost {

using detail::CurrentRun;
using detail::GilAcquire;
using detail::LoadLocks;
namespace py = detail::py;

namespace {

// Returns whether the module exists, without importing it. For a dotted name it lists the files, because
// Python would import the parent packages to find it.
bool is_found(const detail::ModulesPackage& modules, const detail::ModulePaths& paths,
              const std::string& name) {
  if (name.find('.') == std::string::npos) return modules.finds(name);
  const std::vector<std::string> names = detail::list_names(paths, name);
  return std::ranges::find(names, name) != names.end();
}

// Imports the module. Returns null with Python's error set if that fails.
py::object import_module(detail::ModulesPackage& modules, const std::string& name, const CurrentRun& run) {
  const detail::InModuleCode in_module_code(run.thread());
  return modules.import(name);
}

// Notifies the run that this import is a part of, if any: the import may have a timeout of its own.
void note_import(const detail::HostState& host, const CurrentRun& run, bool begins) {
  if (!run.is_part()) return;
  const CurrentRun& whole = *run.outer();
  if (const auto cancellation = whole.cancellation())
    begins ? cancellation->begin_import() : cancellation->end_import();
  if (host.on_import && whole.outer() == nullptr) host.on_import(begins);
}

}  // namespace

Module Host::load(std::string_view name) {
  return detail::report_errors(*data_->host_state, [&] {
    detail::check_module_name(name);
    const GilAcquire gil;
    data_->host_state->check_interpreter(name);
    std::shared_ptr<detail::ModuleData> loaded = data_->loaded.find(name);
    if (loaded && data_->is_current(*loaded)) return Module(std::move(loaded));
    const CurrentRun run(name);
    return Module(detail::notify_failure_of(data_->host_state->observers, name,
                                            [&] { return data_->import(std::string(name), run); }));
  });
}

std::shared_ptr<detail::ModuleData> Host::Data::import(const std::string& name, const CurrentRun& run) {
  host_state->check_not_closing(name);
  const detail::SpanTimer span_timer(host_state->on_span, SpanKind::Import, name, run.id());
  const auto begun = host_state->observers.begin();
  note_import(*host_state, run, true);
  if (!modules->has(name)) {
    detail::restore_interpreter_snapshot();
    detail::refuse_ambiguous(paths, name);
  }
  modules->restore();
  if (!host_state->observers.empty() && is_found(*modules, paths, name))
    host_state->observers.notify(EventKind::Found, name, run.id(), begun);
  for (;;) {
    const py::object module = detail::with_output_flushed(import_module(*modules, name, run).release().ptr());
    detail::move_shutdown_before_loaded();
    detail::throw_if_cancelled(run, Phase::Import);
    if (!module) throw_not_imported(name);
    const std::shared_ptr<detail::ModuleData> read = detail::read_module(host_state, name, module);
    if (!load(run, read)) continue;
    note_import(*host_state, run, false);
    host_state->observers.notify_end(EventKind::Imported, name, run, begun, !run.is_part());
    return read;
  }
}

// Throws the error of a failed import. First forgets the module's helpers, so that the next attempt reads
// their sources again.
void Host::Data::throw_not_imported(const std::string& name) {
  try {
    detail::throw_not_imported(name, paths);
  } catch (const Error&) {
    modules->forget_helpers(name, users());
    throw;
  }
}

// Calls the module's on_load, if that was not done yet. If several threads have imported the module, the
// first one calls on_load and the others wait for it. Returns false if the module was removed meanwhile,
// because its on_load raised or it was unloaded.
bool Host::Data::load(const CurrentRun& run, const std::shared_ptr<detail::ModuleData>& module) {
  PyObject* const object = module->module.ptr();
  std::optional<LoadLocks::Outcome> lock;
  while (!(lock = load_locks.try_acquire(object, LoadLocks::Purpose::Load)))
    detail::throw_if_cancelled(run, Phase::Import);
  if (lock == LoadLocks::Outcome::Unloading) detail::throw_being_unloaded(module->name);
  if (lock == LoadLocks::Outcome::Loading) {
    if (loaded.contains(object)) loaded.add(module);
    return true;
  }
  const LoadLocks::Release release(load_locks, object);
  if (!module->is_in_sys_modules()) return false;
  if (loaded.contains(object)) {
    loaded.add(module);  // it may have another create
    return true;
  }
  in_on_load.push_back("modules." + module->name);
  try {
    detail::call_on_load(run, *module);
  } catch (const Error&) {
    std::erase(in_on_load, "modules." + module->name);
    modules->forget(module->name, users());
    throw;
  }
  std::erase(in_on_load, "modules." + module->name);
  loaded.add(module);
  return true;
}

std::vector<std::string> Host::Data::users() const {
  std::vector<std::string> names = loaded.full_names();
  names.insert(names.end(), in_on_load.begin(), in_on_load.end());
  return names;
}

bool Host::unload(std::string_view name) {
  const GilAcquire gil;
  data_->host_state->check_interpreter(name);
  return data_->unload(name);
}

bool Host::Data::unload(std::string_view name) {
  while (const std::shared_ptr<detail::ModuleData> module = loaded.find(name)) {
    PyObject* const object = module->module.ptr();
    std::optional<LoadLocks::Outcome> lock;
    while (!(lock = load_locks.try_acquire(object, LoadLocks::Purpose::Unload))) continue;
    std::optional<LoadLocks::Release> release;
    if (lock == LoadLocks::Outcome::Acquired) release.emplace(load_locks, object);
    if (!loaded.remove(module)) continue;  // another thread has unloaded or replaced it
    for (const std::string& inner : loaded.names_within(name)) unload(inner);
    detail::unload_module(*module);
    modules->forget(module->name, users());
    return true;
  }
  return false;
}

}  // namespace pyhost
