// Durations as messages show them.
#pragma once

#include <chrono>
#include <string>

namespace pyhost::detail {

/// "2 s", "0.25 s": rounded to the millisecond.
std::string in_seconds(std::chrono::steady_clock::duration time);

}  // namespace pyhost::detail
