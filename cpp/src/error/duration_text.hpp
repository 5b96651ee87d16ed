// Durations as messages show them.
#pragma once

#include <chrono>
#include <string>

namespace pyhost::detail {

/// Returns a duration in seconds, rounded to the millisecond, as in "2 s" and "0.25 s".
std::string in_seconds(std::chrono::steady_clock::duration time);

}  // namespace pyhost::detail
