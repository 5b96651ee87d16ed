// The life of a module and its instances: on_load and on_unload, __enter__ and __exit__, close.
#pragma once

#include <memory>
#include <utility>

#include "run/current_run.hpp"
#include "run/handle_data.hpp"

namespace pyhost::detail {

/// Calls the module's on_load(), if it has one. Throws ImportFailed if that raises. The caller holds the GIL.
void call_on_load(const CurrentRun& run, const ModuleData& module);

/// Closes the open instances of the module, the last created first, and calls its on_unload(). Errors go to
/// on_error and the observers. Each call has the shutdown timeout. From then on, handles of the module throw
/// HostClosed. The caller holds the GIL.
void unload_module(ModuleData& module) noexcept;

/// Cancels the tasks that modules left in their event loops, and closes the loops, within the shutdown
/// timeout. Reports errors as unload_module() does. The caller holds the GIL.
void cancel_leftover_tasks(const HostState& host) noexcept;

/// The slow path of open_instance(): for an object of another type than the last one, or one that must be
/// closed.
void enter_instance(const CurrentRun& run, const std::shared_ptr<InstanceData>& instance);

/// Determines how the object will be closed, and calls __enter__ if it has both __enter__ and __exit__.
/// Throws ModuleRaised. The caller holds the GIL.
inline void open_instance(const CurrentRun& run, const std::shared_ptr<InstanceData>& instance) {
  const ModuleData& module = *instance->module;
  auto* const type = reinterpret_cast<PyObject*>(Py_TYPE(instance->object.ptr()));
  if (module.known_type.ptr() == type && module.known_closing == Closing::Nothing) [[likely]]
    return;
  enter_instance(run, instance);
}

/// Releases the object of an instance that need not be closed. The caller holds the GIL.
[[gnu::always_inline]] inline void drop_object(InstanceData& instance) {
  PyObject* const object = instance.object.release().ptr();
  Py_XDECREF(instance.state.release().ptr());
  Py_XDECREF(object);
}

/// The slow path of close_instance(): for an instance that must be closed.
void close_and_report(InstanceData& instance, const CurrentRun* of);

/// Closes the object: calls its close() or __exit__, if it has one. The call is a part of the run `of`, if
/// there is one. Does nothing the second time. Throws ModuleRaised, TimedOut. The caller holds the GIL.
[[gnu::always_inline]] inline void close_instance(InstanceData& instance, const CurrentRun* of) {
  if (instance.closing != Closing::Nothing) [[unlikely]]
    return close_and_report(instance, of);
  drop_object(instance);
}

/// Closes as close_instance() does, but throws nothing: errors go to on_error and the observers. Acquires the
/// GIL.
void close_quietly(InstanceData& instance, const CurrentRun* of) noexcept;

}  // namespace pyhost::detail
