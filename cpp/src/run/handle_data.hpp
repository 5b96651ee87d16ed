// The data behind the handles Module and Instance.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "convert/convert.hpp"
#include "python/cpp_exception.hpp"
#include "python/dict_version.hpp"
#include "python/gil.hpp"
#include "python/python.hpp"
#include "run/current_run.hpp"
#include "run/forked_child.hpp"
#include "run/observers.hpp"
#include "run/spans.hpp"

namespace pyhost::detail {

struct InstanceData;

/// The state of a host that its handles share. It outlives the host, and says whether the host is open.
struct HostState {
  PyInterpreterState* interpreter = nullptr;           ///< The one that the host is in.
  std::atomic<PyInterpreterState*> open_in = nullptr;  ///< The same one while the host is open.
  std::atomic<bool> closing = false;                   ///< No more modules are loaded.
  Conversions conversions = {};
  std::function<void(const Error&)> on_error = {};
  Observers observers = {};
  OnSpan on_span = {};
  bool observed = false;  ///< Whether there are observers or an on_span.
  std::chrono::milliseconds shutdown_timeout = {};
  std::function<void(const Error&)> on_stuck = {};

  /// Called with true when an outermost run begins to import its module, and with false at the end of an
  /// import that succeeded. The GIL is held.
  std::function<void(bool begins)> on_import = {};

  /// The instances that must be closed, by their number, which increases. Guarded by the GIL.
  std::map<std::uint64_t, std::weak_ptr<InstanceData>> closables = {};
  std::uint64_t last_closable = 0;

  bool is_open() const noexcept { return open_in != nullptr; }

  /// Throws HostClosed once the host is closed, or if check_interpreter() does.
  void check_open(std::string_view module) const {
    if (!is_open()) throw_closed(module);
    check_interpreter(module);
  }

  /// Throws HostClosed on a thread of another interpreter, whose GIL does not guard this host's data. The
  /// caller holds that GIL.
  void check_interpreter(std::string_view module) const {
    if (!is_this_interpreter()) throw_wrong_interpreter(module);
  }
  bool is_this_interpreter(const CurrentRun::Thread& thread = CurrentRun::this_thread()) const {
    return thread.interpreter == interpreter;
  }

  /// Calls on_error, without the GIL, if the error came from a module.
  void notify_error(const Error& error) const noexcept;

  /// Throws HostClosed once the host is being closed.
  void check_not_closing(std::string_view module) const {
    if (closing) throw_closed(module);
  }

 private:
  [[noreturn]] static void throw_closed(std::string_view module);
  [[noreturn]] static void throw_wrong_interpreter(std::string_view module);
};

[[noreturn]] void throw_moved_from();

/// Returns the data of a handle. Throws HostClosed if the handle was moved from.
template <class Data>
Data& require_handle(const std::shared_ptr<Data>& handle) {
  if (handle == nullptr) [[unlikely]]
    throw_moved_from();
  return *handle;
}

/// Must be called in the handler of the error. The error goes to the host's on_error first. Then the caller
/// gets it, or the C++ exception that caused it if there is one.
[[noreturn]] void report_and_rethrow(const HostState& host, const Error& error);

/// Calls the action, and reports its error as report_and_rethrow() does.
template <class Action>
auto report_errors(const HostState& host, Action action) {
  const CallEnd end;
  try {
    return action();
  } catch (const Error& error) {
    report_and_rethrow(host, error);
  }
}

/// How an object is closed.
enum class Closing { Nothing, Close, Exit, AsyncExit };

struct ModuleData {
  std::shared_ptr<HostState> host;
  std::string name;
  py::object module;
  py::object create;
  py::object full_name;  ///< As in sys.modules; the names are interned.
  py::object create_name;
  py::object run_name;
  std::atomic<bool> unloaded = false;
  std::weak_ptr<ModuleData> before = {};  ///< The previous data of the same module, with another create.

  /// The type of the last object that create returned, and how such objects are closed. Guarded by the GIL.
  py::object known_type = {};
  Closing known_closing = Closing::Nothing;

  /// The versions of sys.modules and of the module's dict with which is_current() returned true. Guarded by
  /// the GIL.
  mutable DictVersion known_modules = {};
  mutable DictVersion known_dict = {};

  ModuleData(std::shared_ptr<HostState> host_state, std::string module_name, py::object imported,
             py::object factory);
  ~ModuleData() { release(host->interpreter, module, create, full_name, create_name, run_name, known_type); }

  /// is_current() returns whether an import would still return this module, with this create. The caller
  /// holds the GIL.
  bool is_current() const {
    return (known_modules.is_current(sys_modules) && known_dict.is_current(dict) &&
            PyModule_CheckExact(module.ptr())) ||
           look_up_current();
  }
  bool is_in_sys_modules() const;

  /// Throws HostClosed once the host is closed or the module unloaded, and on a thread of another
  /// interpreter.
  void check_loaded(const CurrentRun::Thread& thread = CurrentRun::this_thread()) const {
    if (host->open_in != thread.interpreter || unloaded) [[unlikely]]
      throw_not_loaded();
  }

  ModuleData(const ModuleData&) = delete;
  ModuleData& operator=(const ModuleData&) = delete;

 private:
  bool look_up_current() const;
  [[noreturn]] void throw_not_loaded() const;

  PyObject* sys_modules;  // borrowed; Python never replaces it
  PyObject* dict;         // of the module; borrowed; null if the object is not exactly a module
};

struct InstanceData {
  std::shared_ptr<ModuleData> module;
  py::object object = {};  ///< Null until it is created, and once it is closed.
  py::object state = {};
  Closing closing = Closing::Nothing;
  std::uint64_t number = 0;  ///< In HostState::closables.
  py::object raised = {};    ///< The exception of its last run, for its __exit__.

  explicit InstanceData(std::shared_ptr<ModuleData> of) : module(std::move(of)) {}
  ~InstanceData() {
    if (closing != Closing::Nothing) [[unlikely]]
      close_last();
    release(module->host->interpreter, object, state, raised);
  }
  InstanceData(const InstanceData&) = delete;
  InstanceData& operator=(const InstanceData&) = delete;

  /// Throws HostClosed if the instance can no longer be run.
  void check_open(const CurrentRun::Thread& thread = CurrentRun::this_thread()) const {
    module->check_loaded(thread);
    if (!object) [[unlikely]]
      throw_not_open();
  }

  /// The slow path of check_open().
  [[noreturn]] void throw_not_open() const;

 private:
  void close_last() noexcept;
};

}  // namespace pyhost::detail
