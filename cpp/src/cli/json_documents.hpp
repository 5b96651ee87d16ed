// The JSON documents that commands print. The keys are stable. Each is compiled here, once, because code that
// builds Json takes long to compile.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace pyhost {
struct Diagnostic;
struct Finding;
struct Schedule;
struct ScheduleProblem;
struct ScheduledRun;
struct Survey;
}  // namespace pyhost

namespace pyhost::cli {

/// Returns what `pyhost list --json` prints.
std::string survey_document(const Survey& survey);

/// Returns what `pyhost check --format json` prints. `modules` is how many modules were checked.
std::string diagnostics_document(std::size_t modules, const std::vector<Diagnostic>& diagnostics);

/// Returns what `pyhost check --format sarif` prints: SARIF 2.1.0, which code hosts show beside the lines.
std::string sarif_document(const std::vector<Diagnostic>& diagnostics);

/// Returns what `pyhost doctor --json` prints.
std::string findings_document(const std::vector<Finding>& findings, bool healthy);

/// Returns what `pyhost schedule history --json` and `pyhost schedule tick --json` print.
std::string runs_document(const std::vector<ScheduledRun>& runs);

/// Returns what `pyhost schedule --json` prints. Durations are in seconds.
std::string schedule_document(const Schedule& schedule);

/// Returns what `pyhost schedule check --json` prints. `entries` is how many entries were checked.
std::string schedule_problems_document(std::size_t entries, const std::vector<ScheduleProblem>& problems);

/// Returns "ok", "warning" or "fault".
const char* verdict_name(const Finding& finding);

}  // namespace pyhost::cli
