// Writes the log records of modules to stderr, as text for people or as one JSON document per line.
#pragma once

namespace pyhost {
class Host;
struct Options;
}  // namespace pyhost

namespace pyhost::cli {

struct LogArguments;
class StatusLine;

/// Sets the options so that the host writes the modules' log records to stderr, if the arguments or the
/// project file ask for it. If `line` is not null, records are printed above that status line.
void log_to_stderr(Options& options, const LogArguments& arguments, StatusLine* line = nullptr);

/// Waits until all log records are written. Prints a warning if some were dropped.
void print_dropped_logs(Host& host);

}  // namespace pyhost::cli
