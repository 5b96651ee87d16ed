// Converts the structs of a schedule to the JSON of its helper process, and back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pyhost/json.hpp"
#include "pyhost/scheduler.hpp"

namespace pyhost::detail {

/// Convert times to and from microseconds since 1970 UTC, as the database stores them.
std::int64_t microseconds_of(ScheduledRun::Time time) noexcept;
ScheduledRun::Time time_of_microseconds(std::int64_t microseconds) noexcept;

/// Returns the entries in the format of a file, where durations are text.
Json raw_entries(const std::vector<Entry>& entries);

Schedule schedule_of(const Json& answer);
ScheduledRun run_of(const Json& row);
std::vector<ScheduleProblem> problems_of(const Json& problems);

/// Converts a problem to an error, for on_error.
Error error_of(const ScheduleProblem& problem);

}  // namespace pyhost::detail
