// The connections and the store that Python code finds in the package pyhost: what the host was told of them,
// and their end.
#pragma once

#include <filesystem>
#include <memory>

#include "convert/convert.hpp"
#include "pyhost/options.hpp"
#include "run/observers.hpp"

namespace pyhost::detail {

/// Tells the Python side which connections and which store there are. A run that has used the store has what
/// it left there written when it ends well, and else forgotten. The conversions have to outlive the
/// observers, and the observers a host's last run. The caller holds the GIL.
void register_connections(const Options& options, Observers& observers,
                          const std::shared_ptr<Conversions>& conversions);

/// Throws StartupFailed if there can be no store in that place. An empty one is none.
void check_store(const std::filesystem::path& store);

/// Closes what modules have opened, and offers nothing any more. The caller holds the GIL.
void close_connections() noexcept;

}  // namespace pyhost::detail
