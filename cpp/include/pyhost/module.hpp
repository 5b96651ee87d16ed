// Handles to loaded modules, and to the instances that their create() returns.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "pyhost/result.hpp"
#include "pyhost/run_options.hpp"
#include "pyhost/state.hpp"
#include "pyhost/stream.hpp"

namespace pyhost {

namespace detail {
struct ModuleData;
struct InstanceData;
}  // namespace detail

/// A handle to the object that a module's `create(state)` returned. Copies share the object.
///
/// If the object has `close()`, it is called once: by close(), or when the last handle is destroyed, the
/// module is unloaded or the host is closed. If the object is a context manager, `__enter__` is called after
/// `create`, and `__exit__` instead of `close()`.
///
/// Ownership: the last handle closes and releases the object, on the thread that destroys the handle. Some
/// objects must be released on the thread that created them: with those of Tcl (tkinter), Tcl aborts the
/// process otherwise.
/// Thread: any, also after the host is closed. A run then throws HostClosed.
class Instance {
 public:
  /// Calls `run()` and returns its result. If `run` is async, it is awaited. If it yields, the result is an
  /// array of the items. On a temporary that is the last handle to its object, it also closes the object.
  /// Throws: BadContract, ModuleRaised, InvalidResult; TimedOut and Cancelled, according to the options;
  /// HostClosed; exceptions of services that the module did not catch. On a temporary, also ModuleRaised if
  /// `close()` raises.
  template <ResultType R = Json>
  R run(const RunOptions& options = detail::no_options) const& {
    return detail::get_as<R>([&](const auto& how) { return run_as(how, options); });
  }
  template <ResultType R = Json>
  R run(const RunOptions& options = detail::no_options) && {
    return detail::get_as<R>([&](const auto& how) { return run_last(how, options); });
  }

  /// Calls `run()` and returns the items that it yields, one at a time. The timeout applies to the whole
  /// stream, from this call on.
  /// Ownership: the stream shares the object.
  /// Throws: the exceptions of run().
  template <ResultType R = Json>
  Stream<R> stream(const RunOptions& options = {}) const {
    return Stream<R>(open_stream(options));
  }

  /// Returns the current contents of the dict that `create` received. The module may have changed it.
  /// Throws: InvalidState if it cannot be converted to JSON, for example because it contains a buffer.
  template <JsonResultType R = Json>
  R state() const {
    return detail::get_as<R>([&](const auto& how) { return state_as(how); });
  }

  /// Closes the object for all handles that share it. Runs then throw HostClosed.
  /// Throws: ModuleRaised if its `close()` or `__exit__` raises.
  void close();

 private:
  friend class Host;
  friend class Module;
  explicit Instance(std::shared_ptr<detail::InstanceData> data) : data_(std::move(data)) {}
  template <class As>
  typename As::Result run_as(const As& how, const RunOptions& options) const;
  template <class As>
  typename As::Result run_last(const As& how, const RunOptions& options);
  template <class As>
  typename As::Result state_as(const As& how) const;
  detail::AnyStream open_stream(const RunOptions& options) const;
  std::shared_ptr<detail::InstanceData> data_;
};

/// A handle to a loaded module. Copies share the module.
/// Thread: any, also after the host is closed. create() then throws HostClosed.
class Module {
 public:
  /// Returns the name by which it was loaded, without `modules.` in front.
  const std::string& name() const noexcept;

  /// Calls the module's `create` with a new dict that is made from the state.
  /// Throws: InvalidState, BadContract, ModuleRaised.
  Instance create(const State& state = {}) const;

 private:
  friend class Host;
  explicit Module(std::shared_ptr<detail::ModuleData> data) : data_(std::move(data)) {}
  std::shared_ptr<detail::ModuleData> data_;
};

}  // namespace pyhost
