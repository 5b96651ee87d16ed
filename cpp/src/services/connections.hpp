// The connections and the store of a host, which Python code finds in the package pyhost.
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

/// Passes the connections and the store to the Python side. What a run leaves in the store is written if the
/// run ends well, and dropped otherwise. The conversions must outlive the observers. The caller holds the
/// GIL.
void register_connections(const Options& options, Observers& observers,
                          const std::shared_ptr<Conversions>& conversions);

/// Returns the modules whose data in the store this thread holds, as an array. The caller holds the GIL.
Json held_stores();

/// For as long as it lives, this thread works for a run in another process that holds the data of these
/// modules in the store. To wait for that run would be in vain.
class StoresHeldElsewhere {
 public:
  explicit StoresHeldElsewhere(Json modules) : modules_(std::move(modules)) { here = this; }
  ~StoresHeldElsewhere() { here = nullptr; }
  StoresHeldElsewhere(const StoresHeldElsewhere&) = delete;
  StoresHeldElsewhere& operator=(const StoresHeldElsewhere&) = delete;

  /// Whether the module is one of those of this thread.
  static bool has(const std::string& module);

 private:
  static thread_local const StoresHeldElsewhere* here;
  Json modules_;
};

/// Throws StartupFailed if there can be no store at that path. An empty path means no store.
void check_store(const std::filesystem::path& store);

/// Closes the connections and the store, and refuses to open them again. The caller holds the GIL.
void close_connections() noexcept;

}  // namespace pyhost::detail
