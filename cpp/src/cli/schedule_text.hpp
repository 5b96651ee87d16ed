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

/// Returns a table, or a few lines for each entry where a terminal of this width is too narrow for it or an
/// entry has several due times.
std::string entries_text(const Schedule& schedule, std::optional<std::size_t> terminal, bool colour);

/// Returns a line for each run, and below a failed one its error as `pyhost run` shows it.
std::string history_text(const std::vector<ScheduledRun>& runs, bool colour, bool verbose);

/// Returns a line for each problem, "place: entry 'name': message", and one for its hint.
std::string problems_text(const std::vector<ScheduleProblem>& problems);

}  // namespace pyhost::cli
