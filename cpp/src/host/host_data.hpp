// The state of a Host.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/load_locks.hpp"
#include "host/loaded_modules.hpp"
#include "host/shutdown_hooks.hpp"
#include "host/single_host.hpp"
#include "interpreter/library_copy.hpp"
#include "interpreter/modules_package.hpp"
#include "pyhost/host.hpp"
#include "run/handle_data.hpp"
#include "services/logging.hpp"
#include "services/redirection.hpp"
#include "services/services.hpp"

namespace pyhost {

struct Host::Data {
  std::optional<detail::SingleHost> single_host = {};       // not in the other interpreters of a pool
  std::optional<detail::OpenHostNote> open_host_note = {};  // for other copies of the library
  Options options = {};
  detail::ModulePaths paths = {};
  std::shared_ptr<detail::HostState> host_state = std::make_shared<detail::HostState>();
  std::shared_ptr<detail::Services> services = {};  // shared with the other interpreters, like the next two
  std::shared_ptr<detail::OutputSink> sink = {};
  std::shared_ptr<detail::Logging> logging = {};
  std::unique_ptr<detail::ModulesPackage> modules = {};
  detail::LoadedModules loaded = {};
  std::vector<std::string> in_on_load = {};  // modules whose on_load is running; guarded by the GIL
  detail::LoadLocks load_locks = {};
  std::unique_ptr<detail::Redirection> redirection = {};
  detail::py::object log_handler = {};  // of this interpreter
  Environment environment = {};
  std::shared_ptr<detail::ShutdownHooks> shutdown_hooks = std::make_shared<detail::ShutdownHooks>();

  /// Returns the conversions of the modules. The pointer keeps the state of the host alive.
  std::shared_ptr<detail::Conversions> conversions() const { return {host_state, &host_state->conversions}; }

  /// Set up and undo everything that belongs to one interpreter. The caller holds the GIL.
  void enter_python();
  void leave_python();

  void run_shutdown_hooks();

  /// Closes the host. Later calls do nothing. Thread: any, one at a time.
  void close();

  /// Called if the process ends while the host is open, as with a static host or after exit(). Closes the
  /// host, unless a run is in flight: that run may have called exit().
  void close_with_process();

  /// Returns whether an import would still return this module with the same create. The caller holds the GIL
  /// of the host's interpreter.
  bool is_current(const detail::ModuleData& module) const {
    return module.is_current() && modules->is_intact();
  }

  /// Imports a module and calls its on_load. The caller holds the GIL.
  std::shared_ptr<detail::ModuleData> import(const std::string& name, const detail::CurrentRun& run);

  /// Unloads a module. Returns false if it is not loaded. The caller holds the GIL.
  bool unload(std::string_view name);

 private:
  bool closed_ = false;

  /// Returns the names in sys.modules of the modules that are in use: their helpers must not be forgotten.
  /// The caller holds the GIL.
  std::vector<std::string> users() const;

  [[noreturn]] void throw_not_imported(const std::string& name);
  bool load(const detail::CurrentRun& run, const std::shared_ptr<detail::ModuleData>& module);
};

}  // namespace pyhost
