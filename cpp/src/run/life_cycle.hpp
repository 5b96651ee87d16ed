// The life of a module and its instances: on_load and on_unload, __enter__ and __exit__, close.
#pragma once

#include <memory>

#include "run/current_run.hpp"
#include "run/handle_data.hpp"

namespace pyhost::detail {

/// Calls the module's on_load(), if it has one. Throws ImportFailed with what it raises. The caller holds the
/// GIL.
void call_on_load(const CurrentRun& run, const ModuleData& module);

/// Closes what instances of the module are still open, the last created first, and calls its on_unload().
/// What these raise is told to on_error and the observers; each has the shutdown timeout. Handles are of no
/// use then. The caller holds the GIL.
void unload_module(ModuleData& module) noexcept;

/// Ends the tasks that modules left in their event loops, and the loops; in the shutdown timeout, and what is
/// raised is told as in unload_module(). The caller holds the GIL.
void cancel_leftover_tasks(const HostState& host) noexcept;

/// The same for an object of a type that was not seen last, or that has something to be told.
void enter_instance(const CurrentRun& run, const std::shared_ptr<InstanceData>& instance);

/// Learns what the object wants when it is given up, and calls __enter__ if that is __exit__. Throws
/// ModuleRaised. The caller holds the GIL.
inline void open_instance(const CurrentRun& run, const std::shared_ptr<InstanceData>& instance) {
  const ModuleData& module = *instance->module;
  auto* const type = reinterpret_cast<PyObject*>(Py_TYPE(instance->object.ptr()));
  if (module.known_type.ptr() == type && module.known_closing == Closing::Nothing) [[likely]]
    return;
  enter_instance(run, instance);
}

/// The same for an instance that has something to close.
void close_and_report(InstanceData& instance, const CurrentRun* of);

/// Gives the object up: calls its close() or __exit__, if it has one, as a part of the run `of` if there is
/// one. Does nothing the second time. Throws ModuleRaised, TimedOut. The caller holds the GIL.
inline void close_instance(InstanceData& instance, const CurrentRun* of) {
  if (instance.closing != Closing::Nothing) [[unlikely]]
    return close_and_report(instance, of);
  instance.object = instance.state = py::object();
}

/// The same where there is nobody to throw to: what goes wrong is told to on_error and the observers. Takes
/// the GIL.
void close_quietly(InstanceData& instance, const CurrentRun* of) noexcept;

/// Gives the instance, if there is one, up at the end of a run that failed.
class CloseOnFailure {
 public:
  CloseOnFailure(const CurrentRun& run, InstanceData* instance) : run_(run), instance_(instance) {}
  ~CloseOnFailure() {
    if (instance_ != nullptr && instance_->closing != Closing::Nothing) close_quietly(*instance_, &run_);
  }
  CloseOnFailure(const CloseOnFailure&) = delete;
  CloseOnFailure& operator=(const CloseOnFailure&) = delete;

 private:
  const CurrentRun& run_;
  InstanceData* instance_;
};

}  // namespace pyhost::detail
