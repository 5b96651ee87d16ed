// The connections and the store of a host, which Python code finds in the package pyhost.
#pragma once

#include <filesystem>
#include <memory>

#include "convert/convert.hpp"
#include "pyhost/options.hpp"
#include "run/observers.hpp"

namespace pyhost::detail {

/// Passes the connections and the store to the Python side. What a run leaves in the store is written if the
/// run ends well, and dropped otherwise. The conversions must outlive the observers. The caller holds the
/// GIL.
void register_connections(const Options& options, Observers& observers,
                          const std::shared_ptr<Conversions>& conversions);

/// Throws StartupFailed if there can be no store at that path. An empty path means no store.
void check_store(const std::filesystem::path& store);

/// Closes the connections and the store, and refuses to open them again. The caller holds the GIL.
void close_connections() noexcept;

}  // namespace pyhost::detail
