// Converts arguments to the options of a host and its runs. Flags override PYHOST_ variables, and both
// override the project file.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "pyhost/options.hpp"
#include "pyhost/pool.hpp"

namespace pyhost::cli {

struct Configuration;
struct HostArguments;
struct MapArguments;

/// Returns the options of a host. The first overload uses the nearest project file.
Options host_options(const HostArguments& arguments);
Options host_options(const HostArguments& arguments, const Configuration& file);

/// Returns the timeout of the module's runs: `given`, the value of --timeout, or the timeout in the project
/// file if `given` is empty. Throws: UsageError.
std::optional<std::chrono::milliseconds> run_timeout(const std::string& module, const std::string& given);

/// Return the options of a pool on this machine, and of its runs. Throw: UsageError.
PoolOptions pool_options_of(const MapArguments& arguments);
MapOptions map_options_of(const MapArguments& arguments);

/// Returns the level of isolation with this name, or nothing if there is none.
std::optional<Isolation> parse_isolation(std::string_view name) noexcept;

/// Parses `given`, the value of this option. Returns nothing if it is empty. Throws: UsageError.
std::optional<std::chrono::milliseconds> parse_time(const std::string& given, const std::string& option);

/// Parses `given`, the value of this option, and returns bytes, or 0 if it is empty. Throws: UsageError.
std::size_t memory_limit(const std::string& given, const std::string& option = "--memory-limit");

}  // namespace pyhost::cli
