// Durations, sizes and times as text for people.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

namespace pyhost::cli {

/// Parses "500ms", "30s", "2m" or "1h". A number without a unit is in seconds. Returns nothing if the text is
/// not a duration.
std::optional<std::chrono::milliseconds> parse_duration(const std::string& text);

/// Parses "512M" or "2G" and returns bytes. The units are K, M and G, in steps of 1024. A number without a
/// unit is in bytes. Returns nothing if the text is not a size or is 0.
std::optional<std::size_t> parse_size(const std::string& text);

/// Returns "12,345".
std::string grouped(std::size_t number);

/// Returns "3 states", "1 state" or "12,345 states".
std::string counted(std::size_t count, const std::string& what);

/// Returns "0:07" or "1:02:03".
std::string clock_text(double seconds);

/// Returns "2026-12-24 18:00:00 UTC".
std::string utc_text(std::chrono::system_clock::time_point time);

/// Returns "2026-12-24T18:00:00.000000Z".
std::string iso_text(std::chrono::system_clock::time_point time);

}  // namespace pyhost::cli
