// The entries and runs of a schedule as text for people.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace pyhost {
struct Schedule;
struct ScheduleProblem;
struct ScheduledRun;
}  // namespace pyhost

namespace pyhost::cli {

/// Returns a table of the entries. If the table is too wide for the terminal, or if an entry shows several
/// due times, returns a few lines for each entry instead. `terminal` is the width in columns.
std::string entries_text(const Schedule& schedule, std::optional<std::size_t> terminal, bool colour);

/// Returns a line for each run. Below a failed run is its error, as `pyhost run` prints it.
std::string history_text(const std::vector<ScheduledRun>& runs, bool colour, bool verbose);

/// Returns two lines for each problem: "place: entry 'name': message", and its hint if it has one.
std::string problems_text(const std::vector<ScheduleProblem>& problems);

}  // namespace pyhost::cli
