// Log records of modules on stderr, as lines for people or one JSON document a line.
#pragma once

namespace pyhost {
class Host;
struct Options;
}  // namespace pyhost

namespace pyhost::cli {

struct LogArguments;
class StatusLine;

/// Lets the host write the log records of modules to stderr, if the arguments or the project file ask for it.
/// With a `line`, they are written in its place.
void log_to_stderr(Options& options, const LogArguments& arguments, StatusLine* line = nullptr);

/// Waits until all log records are written, then prints how many were dropped, if any were.
void print_dropped_logs(Host& host);

}  // namespace pyhost::cli
