// What is behind a Host.
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
  std::optional<detail::SingleHost> single_host = {};       // none in the other interpreters of a pool
  std::optional<detail::OpenHostNote> open_host_note = {};  // the same among copies of the library
  Options options = {};
  detail::ModulePaths paths = {};
  std::shared_ptr<detail::HostState> host_state = std::make_shared<detail::HostState>();
  std::shared_ptr<detail::Services> services = {};  // these three are shared with the other interpreters
  std::shared_ptr<detail::OutputSink> sink = {};
  std::shared_ptr<detail::Logging> logging = {};
  std::unique_ptr<detail::ModulesPackage> modules = {};
  detail::LoadedModules loaded = {};
  std::vector<std::string> in_on_load = {};  // names in sys.modules; guarded by the GIL
  detail::LoadLocks load_locks = {};
  std::unique_ptr<detail::Redirection> redirection = {};
  detail::py::object log_handler = {};  // of this interpreter
  Environment environment = {};
  std::shared_ptr<detail::ShutdownHooks> shutdown_hooks = std::make_shared<detail::ShutdownHooks>();

  /// The modules' conversions, for users that may outlive the host.
  std::shared_ptr<detail::Conversions> conversions() const { return {host_state, &host_state->conversions}; }

  /// Sets up all that belongs to one interpreter, and undoes it. The caller holds the GIL.
  void enter_python();
  void leave_python();

  void run_shutdown_hooks();

  /// Closes the host, once. Thread: any, one at a time.
  void close();

  /// Closes the host if the process ends while it is open, as it does with a static one or after exit(). If a
  /// run is in flight, does nothing: it might be what calls exit().
  void close_with_process();

  /// Imports a module and calls its on_load. The caller holds the GIL.
  std::shared_ptr<detail::ModuleData> import(const std::string& name, const detail::CurrentRun& run);

  /// Returns false if the module is not loaded. The caller holds the GIL.
  bool unload(std::string_view name);

 private:
  bool closed_ = false;

  /// The names in sys.modules of the modules whose helpers stay. The caller holds the GIL.
  std::vector<std::string> users() const;

  [[noreturn]] void throw_not_imported(const std::string& name);
  bool load(const detail::CurrentRun& run, const std::shared_ptr<detail::ModuleData>& module);
};

}  // namespace pyhost
