// The JSON documents that commands print. Their keys are stable. They are built in one file, because code
// that builds Json takes long to compile.
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

/// Returns the output of `pyhost list --json`.
std::string survey_document(const Survey& survey);

/// Returns the output of `pyhost check --format json`. `modules` is the number of checked modules.
std::string diagnostics_document(std::size_t modules, const std::vector<Diagnostic>& diagnostics);

/// Returns the output of `pyhost check --format sarif`: SARIF 2.1.0, which code hosting sites can show beside
/// the source lines.
std::string sarif_document(const std::vector<Diagnostic>& diagnostics);

/// Returns the output of `pyhost doctor --json`.
std::string findings_document(const std::vector<Finding>& findings, bool healthy);

/// Returns the output of `pyhost schedule history --json` and `pyhost schedule tick --json`.
std::string runs_document(const std::vector<ScheduledRun>& runs);

/// Returns the output of `pyhost schedule --json`. Durations are in seconds.
std::string schedule_document(const Schedule& schedule);

/// Returns the output of `pyhost schedule check --json`. `entries` is the number of checked entries.
std::string schedule_problems_document(std::size_t entries, const std::vector<ScheduleProblem>& problems);

/// Returns "ok", "warning" or "fault".
const char* verdict_name(const Finding& finding);

}  // namespace pyhost::cli
