// The structs of a schedule as the JSON of its helper process, and back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pyhost/json.hpp"
#include "pyhost/scheduler.hpp"

namespace pyhost::detail {

/// Microseconds since 1970 UTC, as times are stored.
std::int64_t microseconds_of(ScheduledRun::Time time) noexcept;
ScheduledRun::Time time_of_microseconds(std::int64_t microseconds) noexcept;

/// Entries as they stand in a file. Their durations are text.
Json raw_entries(const std::vector<Entry>& entries);

Schedule schedule_of(const Json& answer);
ScheduledRun run_of(const Json& row);
std::vector<ScheduleProblem> problems_of(const Json& problems);

/// The problem as an error, for on_error.
Error error_of(const ScheduleProblem& problem);

}  // namespace pyhost::detail
