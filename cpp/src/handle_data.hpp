// What is behind the handles Module and Instance.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "convert.hpp"
#include "enter.hpp"
#include "python.hpp"
#include "thrown.hpp"
#include "watchers.hpp"

namespace pyhost::detail {

/// Outlives the host in every handle that the host gave out, and tells them whether it is open.
struct HostLife {
  std::atomic<bool> open = true;
  Conversions conversions = {};
  std::function<void(const Error&)> on_error = {};
  Watchers watchers = {};

  /// Throws HostClosed once the host is closed.
  void must_be_open(std::string_view module) const {
    if (!open) throw_closed(module);
  }

  /// Tells on_error of an error that came out of a module, without the GIL.
  void tell(const Error& error) const noexcept;

 private:
  [[noreturn]] static void throw_closed(std::string_view module);
};

/// Does the action; an error of it is told to the host's on_error before it goes on to the caller, or the
/// C++ exception that is its reason.
template <class Action>
auto telling(const HostLife& host, Action action) {
  try {
    return action();
  } catch (const Error& error) {
    host.tell(error);
    throw_reason_of(error);
    throw;
  }
}

struct ModuleData {
  std::shared_ptr<HostLife> host;
  std::string name;
  py::object module;
  py::object create;
  py::object full_name;  ///< As in sys.modules; the names are interned.
  py::object create_name;
  py::object run_name;

  ModuleData(std::shared_ptr<HostLife> life, std::string module_name, py::object imported,
             py::object factory);
  ~ModuleData() { release(module, create, full_name, create_name, run_name); }

  /// Whether an import would still give this module, and the module this create. The caller holds the GIL.
  bool is_current() const;

  ModuleData(const ModuleData&) = delete;
  ModuleData& operator=(const ModuleData&) = delete;
};

struct InstanceData {
  std::shared_ptr<ModuleData> module;
  py::object object;

  InstanceData(std::shared_ptr<ModuleData> of, py::object created);
  ~InstanceData() { release(object); }
  InstanceData(const InstanceData&) = delete;
  InstanceData& operator=(const InstanceData&) = delete;
};

}  // namespace pyhost::detail
