// The handles of a loaded module and of the objects that its create() returns.
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

/// The object that a module's `create(state)` returned. If its class has `close()`, that is called once: by
/// close(), or otherwise with the last handle, or when the module is unloaded or the host closed. If its
/// class is a context manager, `__enter__` is called after `create`, and `__exit__` instead of `close()`.
///
/// Ownership: a handle; copies share the object.
/// Thread: any, also after the host is gone; a run then throws HostClosed. The object is closed and dropped on
/// the thread that drops its last handle. An object that belongs to the thread where it was made, as those of
/// Tcl (tkinter) do, must be dropped there: otherwise Tcl aborts the process.
class Instance {
 public:
  /// Calls `run()` and returns its result. An async `run` is awaited, and the items of one that yields become
  /// an array. On a temporary that is the last handle of its object, it also closes the object.
  /// Throws: BadContract, ModuleRaised, InvalidResult; TimedOut and Cancelled as the options say; exceptions of
  /// services that the module did not catch. On a temporary, also what its `close()` raises.
  template <ResultType R = Json>
  R run(const RunOptions& options = {}) const& {
    return detail::get_as<R>([&](const auto& how) { return run_as(how, options); });
  }
  template <ResultType R = Json>
  R run(const RunOptions& options = {}) && {
    return detail::get_as<R>([&](const auto& how) { return run_last(how, options); });
  }

  /// Calls `run()` and returns the items that it yields, each made when it is asked for. The timeout is that
  /// of the whole stream and starts now. The stream shares the object.
  /// Throws: as run().
  template <ResultType R = Json>
  Stream<R> stream(const RunOptions& options = {}) const {
    return Stream<R>(open_stream(options));
  }

  /// Returns the dict that `create` received, as the module has changed it.
  /// Throws: InvalidState if it is not JSON, for example because it holds a buffer.
  template <JsonResultType R = Json>
  R state() const {
    return detail::get_as<R>([&](const auto& how) { return state_as(how); });
  }

  /// Closes the object for all handles that share it; a run then throws HostClosed.
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

/// An imported module. A handle like Instance.
class Module {
 public:
  /// The name it was loaded by, without `modules.`.
  const std::string& name() const noexcept;

  /// Calls the module's `create` with a fresh dict made from the state.
  /// Throws: InvalidState, BadContract, ModuleRaised.
  Instance create(const State& state = {}) const;

 private:
  friend class Host;
  explicit Module(std::shared_ptr<detail::ModuleData> data) : data_(std::move(data)) {}
  std::shared_ptr<detail::ModuleData> data_;
};

}  // namespace pyhost
