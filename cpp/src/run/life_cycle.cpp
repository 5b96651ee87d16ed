// Calls the functions of a module and its instances for the stages of their life, and reports their errors.
#include "run/life_cycle.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include "interpreter/output.hpp"
#include "run/async_call.hpp"
#include "run/cancellation.hpp"
#include "run/contract.hpp"
#include "run/module_code.hpp"

namespace pyhost::detail {

namespace {

// Whether the module itself has the function. A __getattr__ of the module does not count.
bool has_function(const ModuleData& module, const char* name) {
  PyObject* object = module.module.ptr();
  if (PyModule_Check(object)) return PyDict_GetItemString(PyModule_GetDict(object), name) != nullptr;
  return PyObject_HasAttrString(object, name) != 0;
}

// Awaits the result of a call into the module if it is async, and flushes the output. Returns null with
// Python's error set on failure.
py::object await_and_flush(const CurrentRun& run, py::object returned) {
  if (returned && result_form_of(returned.ptr()) == ResultForm::Awaitable)
    returned = await(run, returned.ptr());
  return with_output_flushed(returned.release().ptr());
}

// Calls into the module's code, as call_module_code() does, and finishes the call as await_and_flush() does.
template <class Call>
py::object call_to_the_end(const CurrentRun& run, Call call) {
  return await_and_flush(run, steal(call_module_code(run.thread(), std::move(call))));
}

// Uses the attribute, because from Python 3.15 on the module's dict may hold a lazy import instead.
py::object call_function(const CurrentRun& run, const ModuleData& module, const char* name) {
  return call_to_the_end(run, [&] { return PyObject_CallMethod(module.module.ptr(), name, nullptr); });
}

// Looks on the type, as Python does for __enter__ and __exit__, so that no code of the module runs.
bool has(PyTypeObject* type, const char* name) {
  const py::object key = steal(PyUnicode_InternFromString(name));
  return key && _PyType_Lookup(type, key.ptr()) != nullptr;
}

Closing closing_of(PyTypeObject* type) {
  if (has(type, "__enter__") && has(type, "__exit__")) return Closing::Exit;
  if (has(type, "__aenter__") && has(type, "__aexit__")) return Closing::AsyncExit;
  return has(type, "close") ? Closing::Close : Closing::Nothing;
}

py::object call_close(InstanceData& instance, PyObject* object, Closing closing) {
  if (closing == Closing::Close) return steal(PyObject_CallMethod(object, "close", nullptr));
  const char* const exit = closing == Closing::Exit ? "__exit__" : "__aexit__";
  const py::object raised = std::move(instance.raised);
  if (!raised) return steal(PyObject_CallMethod(object, exit, "OOO", Py_None, Py_None, Py_None));
  const py::object traceback = steal(PyException_GetTraceback(raised.ptr()));
  return steal(PyObject_CallMethod(object, exit, "OOO", reinterpret_cast<PyObject*>(Py_TYPE(raised.ptr())),
                                   raised.ptr(), traceback ? traceback.ptr() : Py_None));
}

// Limits the time for closing to the grace time of an enclosing run whose own time is over.
void limit_to_grace_time(const CurrentRun& run) {
  for (const CurrentRun* outer = run.outer(); outer != nullptr; outer = outer->outer()) {
    if (!outer->cancellation() || !outer->cancellation()->over()) continue;
    const RunOptions rest = outer->cancellation()->options_for_cleanup();
    return apply_limits(rest, run);
  }
}

RunOptions within_shutdown_timeout(const HostState& host, const std::string& what) {
  constexpr std::chrono::milliseconds least(1);  // a call without any time would not be started
  RunOptions limit{.timeout = std::max(host.shutdown_timeout, least),
                   .grace = std::chrono::milliseconds(500),
                   .stop = {},
                   .on_stuck = host.on_stuck};
  if (!limit.on_stuck) {
    limit.on_stuck = [what](const Error& error) {
      std::fprintf(stderr, "pyhost: still waiting for %s: %s\n", what.c_str(), error.what());
    };
  }
  return limit;
}

// Calls the action. No caller could catch its error, so it is reported to the host.
template <class Action>
void reporting_errors(const HostState& host, Action action) noexcept {
  try {
    action();
  } catch (const Error& error) {
    host.notify_error(error);
  }
}

void call_on_unload(const ModuleData& module) {
  if (!has_function(module, "on_unload")) return;
  const CurrentRun run(module.name);
  const RunOptions limit =
      within_shutdown_timeout(*module.host, "on_unload() of module '" + module.name + "'");
  apply_limits(limit, run);
  notify_failure_of(module.host->observers, module.name, [&] {
    const py::object done = call_function(run, module, "on_unload");
    throw_if_cancelled(run, Phase::Close);
    if (!done) throw_module_raised(Phase::Close, module);
    module.host->observers.notify_ending(module.name, run.id());
  });
}

}  // namespace

void call_on_load(const CurrentRun& run, const ModuleData& module) {
  if (!has_function(module, "on_load")) return;
  const py::object done = call_function(run, module, "on_load");
  throw_if_cancelled(run, Phase::Import);
  if (done) return;
  const py::object raised = take_raised();
  throw_raised_with_cpp_exception(ErrorKind::ImportFailed, Phase::Import, module.name,
                                  "module '" + module.name + "' was not loaded, because its on_load raised ",
                                  raised.ptr(), describe(raised.ptr()));
}

void unload_module(ModuleData& module) noexcept {
  HostState& host = *module.host;
  std::vector<std::shared_ptr<InstanceData>> open;
  for (const auto& [number, instance] : host.closables) {
    if (auto alive = instance.lock()) open.push_back(std::move(alive));
  }
  // Others are removed only after all are held: dropping the last owner of an instance closes it, which
  // changes the map.
  std::erase_if(open, [&](const auto& each) { return !each->module->module.is(module.module); });
  const std::string closing = "close() of an instance of module '" + module.name + "'";
  for (auto at = open.rbegin(); at != open.rend(); ++at) {
    const CurrentRun whole(module.name, CurrentRun::Extent::Whole);
    reporting_errors(host, [&] {
      const RunOptions limit = within_shutdown_timeout(host, closing);
      apply_limits(limit, whole);
      close_quietly(**at, nullptr);
    });
  }
  const auto begun = host.observers.begin();
  reporting_errors(host, [&] { call_on_unload(module); });
  module.unloaded = true;
  for (auto before = module.before.lock(); before; before = before->before.lock()) before->unloaded = true;
  host.observers.notify(EventKind::Unloaded, module.name, 0, begun);
}

void cancel_leftover_tasks(const HostState& host) noexcept {
  if (!has_loops()) return;
  const CurrentRun run(std::string_view{});
  reporting_errors(host, [&] {
    const RunOptions limit = within_shutdown_timeout(host, "a task left in an event loop");
    apply_limits(limit, run);
    const bool closed = close_loops(run);
    throw_if_cancelled(run, Phase::Close);
    if (!closed)
      throw_raised(ErrorKind::ModuleRaised, Phase::Close, {}, "a task left in an event loop raised ");
  });
}

void enter_instance(const CurrentRun& run, const std::shared_ptr<InstanceData>& instance) {
  ModuleData& module = *instance->module;
  PyTypeObject* const type = Py_TYPE(instance->object.ptr());
  if (module.known_type.ptr() != reinterpret_cast<PyObject*>(type)) {
    module.known_type = borrow(reinterpret_cast<PyObject*>(type));
    module.known_closing = closing_of(type);
  }
  const Closing closing = module.known_closing;
  if (closing == Closing::Nothing) return;
  if (closing != Closing::Close) {
    const char* const enter = closing == Closing::Exit ? "__enter__" : "__aenter__";
    const py::object entered =
        call_to_the_end(run, [&] { return PyObject_CallMethod(instance->object.ptr(), enter, nullptr); });
    throw_if_cancelled(run, Phase::Create);
    if (!entered) throw_module_raised(Phase::Create, module);
  }
  instance->closing = closing;
  instance->number = ++module.host->last_closable;
  module.host->closables.emplace(instance->number, instance);
}

void close_and_report(InstanceData& instance, const CurrentRun* of) {
  const py::object object = std::move(instance.object);
  const py::object state = std::move(instance.state);
  const Closing closing = std::exchange(instance.closing, Closing::Nothing);
  const ModuleData& module = *instance.module;
  HostState& host = *module.host;
  host.closables.erase(instance.number);
  std::optional<CurrentRun> run;
  of != nullptr ? run.emplace(module.name, of->id()) : run.emplace(module.name);
  limit_to_grace_time(*run);
  const auto begun = host.observers.begin();
  notify_failure_of(host.observers, module.name, [&] {
    const py::object done =
        call_to_the_end(*run, [&] { return call_close(instance, object.ptr(), closing).release().ptr(); });
    throw_if_cancelled(*run, Phase::Close);
    if (!done) throw_module_raised(Phase::Close, module);
    host.observers.notify_end(EventKind::Closed, module.name, *run, begun, of == nullptr);
  });
}

void close_quietly(InstanceData& instance, const CurrentRun* of) noexcept {
  if (instance.closing == Closing::Nothing || !instance.module->host->is_this_interpreter()) return;
  try {
    const GilAcquire gil;
    const py::error_scope kept;
    reporting_errors(*instance.module->host, [&] {
      if (instance.module->host->is_open()) close_instance(instance, of);
    });
  } catch (const Error&) {
    // The process is ending.
  }
}

}  // namespace pyhost::detail
