// Durations and sizes as people write them on the command line and in the project file.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

namespace pyhost::cli {

/// Reads "500ms", "30s", "2m" or "1h". A number without a unit is in seconds. Returns nothing if the text is
/// not a duration.
std::optional<std::chrono::milliseconds> parse_duration(const std::string& text);

/// Reads "512M" or "2G" and returns bytes. The units are K, M and G, in steps of 1024. A number without a
/// unit is in bytes. Returns nothing if the text is not a size, or is 0.
std::optional<std::size_t> parse_size(const std::string& text);

}  // namespace pyhost::cli
