// From arguments to the options of a host and its runs. Flags beat PYHOST_ variables, and both beat the
// project file.
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

/// Returns the options of a host. Without a file, the nearest project file is read.
Options host_options(const HostArguments& arguments);
Options host_options(const HostArguments& arguments, const Configuration& file);

/// Returns the timeout of the module's runs: `given`, which is the value of --timeout, otherwise what the
/// project file says. Throws: UsageError.
std::optional<std::chrono::milliseconds> run_timeout(const std::string& module, const std::string& given);

/// Return the options of a pool on this machine and of its runs. Throw: UsageError.
PoolOptions pool_options_of(const MapArguments& arguments);
MapOptions map_options_of(const MapArguments& arguments);

/// Returns the level of isolation with this name; nothing if there is none.
std::optional<Isolation> parse_isolation(std::string_view name) noexcept;

/// Returns the time that `given` is, the value of this option; nothing if it is empty. Throws: UsageError.
std::optional<std::chrono::milliseconds> parse_time(const std::string& given, const std::string& option);

/// Returns the value of --memory-limit or another option in bytes, 0 if it is empty. Throws: UsageError.
std::size_t memory_limit(const std::string& given, const std::string& option = "--memory-limit");

}  // namespace pyhost::cli
