// What is behind the handles Module and Instance.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "enter.hpp"
#include "python.hpp"

namespace pyhost::detail {

/// Outlives the host in every handle that the host gave out, and tells them whether it is open.
struct HostLife {
  std::atomic<bool> open = true;

  /// Throws HostClosed once the host is closed.
  void must_be_open(std::string_view module) const;
};

struct ModuleData {
  std::shared_ptr<HostLife> host;
  std::string name;
  py::object module;
  py::object create;

  ModuleData(std::shared_ptr<HostLife> life, std::string module_name, py::object imported,
             py::object factory);
  ~ModuleData() { release(module, create); }
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

/// `modules.<name>` as imported, with its `create` found. Throws BadContract. The caller holds the GIL.
std::shared_ptr<ModuleData> read_module(std::shared_ptr<HostLife> host, std::string name, py::object module);

}  // namespace pyhost::detail
