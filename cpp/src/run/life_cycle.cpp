// What a module and its instances are told of their life, and how what they raise then is told.
#include "run/life_cycle.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include "run/awaiting.hpp"
#include "run/contract.hpp"
#include "interpreter/output.hpp"
#include "run/stopping.hpp"

namespace pyhost::detail {

namespace {

// A function that the module itself has; what a __getattr__ of its might make up does not count.
py::object function_of(const ModuleData& module, const char* name) {
  PyObject* object = module.module.ptr();
  py::object found = PyModule_Check(object) ? share(PyDict_GetItemString(PyModule_GetDict(object), name))
                                            : own(PyObject_GetAttrString(object, name));
  PyErr_Clear();
  return found;
}

// As Python looks for __enter__ and __exit__: on the type, so that no code of the module's runs for it.
bool has(PyTypeObject* type, const char* name) {
  const py::object key = own(PyUnicode_InternFromString(name));
  return key && _PyType_Lookup(type, key.ptr()) != nullptr;
}

Closing closing_of(PyTypeObject* type) {
  if (has(type, "__enter__") && has(type, "__exit__")) return Closing::Exit;
  if (has(type, "__aenter__") && has(type, "__aexit__")) return Closing::AsyncExit;
  return has(type, "close") ? Closing::Close : Closing::Nothing;
}

py::object call_close(InstanceData& instance, PyObject* object, Closing closing) {
  if (closing == Closing::Close) return own(PyObject_CallMethod(object, "close", nullptr));
  const char* const exit = closing == Closing::Exit ? "__exit__" : "__aexit__";
  const py::object raised = std::move(instance.raised);
  if (!raised) return own(PyObject_CallMethod(object, exit, "OOO", Py_None, Py_None, Py_None));
  const py::object traceback = own(PyException_GetTraceback(raised.ptr()));
  return own(PyObject_CallMethod(object, exit, "OOO", reinterpret_cast<PyObject*>(Py_TYPE(raised.ptr())),
                                 raised.ptr(), traceback ? traceback.ptr() : Py_None));
}

// What a call into the module returned, written out and, if it is async, awaited; null with Python's error
// set.
py::object all_of(const CurrentRun& run, py::object returned) {
  if (returned && giving_of(returned.ptr()) == Giving::Awaitable) returned = await(run, returned.ptr());
  return with_output_flushed(returned.release().ptr());
}

// The time that is left for closing, if the run around it has used up its own.
void heed_what_is_left(const CurrentRun& run) {
  for (const CurrentRun* outer = run.outer(); outer != nullptr; outer = outer->outer()) {
    if (!outer->stop() || !outer->stop()->over()) continue;
    const RunOptions rest = outer->stop()->for_the_rest();
    return heed(&rest, run);
  }
}

RunOptions within_shutdown_timeout(const HostLife& host, const std::string& what) {
  constexpr std::chrono::milliseconds least(1);  // what has no time at all would not even be begun
  RunOptions limit{.timeout = std::max(host.shutdown_timeout, least),
                   .grace = std::chrono::milliseconds(500),
                   .stop = {},
                   .on_stuck = host.on_stuck};
  if (!limit.on_stuck) {
    limit.on_stuck = [what](const Error& error) {
      std::fprintf(stderr, "pyhost: %s does not return, and is waited for: %s\n", what.c_str(), error.what());
    };
  }
  return limit;
}

// Does the action where there is nobody to throw to.
template <class Action>
void telling_host(const HostLife& host, Action action) noexcept {
  try {
    action();
  } catch (const Error& error) {
    host.tell(error);
  }
}

void call_on_unload(const ModuleData& module) {
  const py::object on_unload = function_of(module, "on_unload");
  if (!on_unload) return;
  const CurrentRun run(module.name);
  const RunOptions limit =
      within_shutdown_timeout(*module.host, "on_unload() of module '" + module.name + "'");
  heed(&limit, run);
  telling_failure(module.host->watchers, module.name, [&] {
    const py::object done =
        all_of(run, call_inside(run, [&] { return PyObject_CallNoArgs(on_unload.ptr()); }));
    must_go_on(run, Phase::Close);
    if (!done) throw_module_raised(Phase::Close, module);
    module.host->watchers.tell(Moment::Ending, module.name, run.id(), module.host->watchers.begin());
  });
}

}  // namespace

void load_module(const CurrentRun& run, const ModuleData& module) {
  const py::object on_load = function_of(module, "on_load");
  if (!on_load) return;
  const py::object done = all_of(run, call_inside(run, [&] { return PyObject_CallNoArgs(on_load.ptr()); }));
  must_go_on(run, Phase::Import);
  if (done) return;
  const py::object raised = take_raised();
  throw_raised_over(ErrorKind::ImportFailed, Phase::Import, module.name,
                    "module '" + module.name + "' was not loaded, because its on_load raised ", raised.ptr(),
                    describe(raised.ptr()));
}

void unload_module(ModuleData& module) noexcept {
  HostLife& host = *module.host;
  std::vector<std::shared_ptr<InstanceData>> open;
  for (const auto& [number, instance] : host.to_close) {
    if (auto alive = instance.lock()) open.push_back(std::move(alive));
  }
  // Not before all are held: the last owner of one would close it, and change the map.
  std::erase_if(open, [&](const auto& each) { return !each->module->module.is(module.module); });
  const std::string closing = "close() of an instance of module '" + module.name + "'";
  for (auto at = open.rbegin(); at != open.rend(); ++at) {
    const CurrentRun whole(module.name, CurrentRun::Extent::Whole);
    telling_host(host, [&] {
      const RunOptions limit = within_shutdown_timeout(host, closing);
      heed(&limit, whole);
      give_up(**at, nullptr);
    });
  }
  const auto begun = host.watchers.begin();
  telling_host(host, [&] { call_on_unload(module); });
  module.unloaded = true;
  for (auto before = module.before.lock(); before; before = before->before.lock()) before->unloaded = true;
  host.watchers.tell(Moment::Unloaded, module.name, 0, begun);
}

void end_tasks(const HostLife& host) noexcept {
  if (!has_loops()) return;
  const CurrentRun run(std::string_view{});
  telling_host(host, [&] {
    const RunOptions limit = within_shutdown_timeout(host, "a task that a module left in its event loop");
    heed(&limit, run);
    const bool closed = close_loops(run);
    must_go_on(run, Phase::Close);
    if (!closed) throw_raised(ErrorKind::ModuleRaised, Phase::Close, {}, "a task that a module left raised ");
  });
}

void enter_instance(const CurrentRun& run, const std::shared_ptr<InstanceData>& instance) {
  ModuleData& module = *instance->module;
  PyTypeObject* const type = Py_TYPE(instance->object.ptr());
  if (module.known_type.ptr() != reinterpret_cast<PyObject*>(type)) {
    module.known_type = share(reinterpret_cast<PyObject*>(type));
    module.known_closing = closing_of(type);
  }
  const Closing closing = module.known_closing;
  if (closing == Closing::Nothing) return;
  if (closing != Closing::Close) {
    const char* const enter = closing == Closing::Exit ? "__enter__" : "__aenter__";
    const py::object entered = all_of(
        run, call_inside(run, [&] { return PyObject_CallMethod(instance->object.ptr(), enter, nullptr); }));
    must_go_on(run, Phase::Create);
    if (!entered) throw_module_raised(Phase::Create, module);
  }
  instance->closing = closing;
  instance->number = ++module.host->last_to_close;
  module.host->to_close.emplace(instance->number, instance);
}

void close_what_is_open(InstanceData& instance, const CurrentRun* of) {
  const py::object object = std::move(instance.object);
  const py::object state = std::move(instance.state);
  const Closing closing = std::exchange(instance.closing, Closing::Nothing);
  const ModuleData& module = *instance.module;
  HostLife& host = *module.host;
  host.to_close.erase(instance.number);
  std::optional<CurrentRun> run;
  of != nullptr ? run.emplace(module.name, of->id()) : run.emplace(module.name);
  heed_what_is_left(*run);
  const auto begun = host.watchers.begin();
  telling_failure(host.watchers, module.name, [&] {
    const py::object done = all_of(
        *run, call_inside(*run, [&] { return call_close(instance, object.ptr(), closing).release().ptr(); }));
    must_go_on(*run, Phase::Close);
    if (!done) throw_module_raised(Phase::Close, module);
    host.watchers.tell_end(Moment::Closed, module.name, *run, begun, of == nullptr);
  });
}

void give_up(InstanceData& instance, const CurrentRun* of) noexcept {
  if (instance.closing == Closing::Nothing || !instance.module->host->is_here()) return;
  try {
    const Enter enter;
    const py::error_scope kept;
    telling_host(*instance.module->host, [&] {
      if (instance.module->host->open) close_instance(instance, of);
    });
  } catch (const Error&) {
    // The process is ending.
  }
}

}  // namespace pyhost::detail
