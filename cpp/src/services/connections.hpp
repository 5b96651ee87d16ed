// The connections and the store of a host, which Python code uses through the package pyhost.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "convert/convert.hpp"
#include "pyhost/json.hpp"
#include "pyhost/options.hpp"
#include "run/observers.hpp"

namespace pyhost::detail {

/// Passes the connections and the store to the Python side. A run's changes of the store are written if it
/// ends without an error, and dropped otherwise. The conversions must outlive the observers. The caller holds
/// the GIL.
void register_connections(const Options& options, Observers& observers,
                          const std::shared_ptr<Conversions>& conversions);

/// Returns an array of the modules whose data in the store this thread holds. The caller holds the GIL.
Json held_stores();

/// While it lives, this thread works for a run in another process, and that run holds the data of these
/// modules in the store. Waiting for that run would be a deadlock.
class StoresHeldElsewhere {
 public:
  explicit StoresHeldElsewhere(Json modules) : modules_(std::move(modules)) { here = this; }
  ~StoresHeldElsewhere() { here = nullptr; }
  StoresHeldElsewhere(const StoresHeldElsewhere&) = delete;
  StoresHeldElsewhere& operator=(const StoresHeldElsewhere&) = delete;

  /// Whether this thread works for a run that holds the data of the module.
  static bool has(const std::string& module);

 private:
  static thread_local const StoresHeldElsewhere* here;
  Json modules_;
};

/// Throws StartupFailed if the store cannot be at that path. An empty path means that there is no store.
void check_store(const std::filesystem::path& store);

/// Closes the connections and the store, and refuses to open them again. The caller holds the GIL.
void close_connections() noexcept;

}  // namespace pyhost::detail
