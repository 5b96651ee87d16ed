// The arguments of each command, from the command line and PYHOST_ variables, as plain data.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pyhost::cli {

inline constexpr std::array log_levels{"debug", "info", "warning", "error", "critical", "off"};
inline constexpr std::array log_formats{"text", "json"};

/// The range of an option that is a whole number.
struct NumberRange {
  int least, most;
};
inline constexpr NumberRange jobs_range{1, 1024};
inline constexpr NumberRange retries_range{0, 1000};
inline constexpr NumberRange runs_per_worker_range{1, 1'000'000'000};

/// How the host is opened. An empty member was not given.
struct HostArguments {
  std::vector<std::string> module_paths = {};
  std::string venv = {};
  bool use_environment = false;
  std::string store = {};
  double shutdown_timeout = 5;  ///< In seconds.
};

/// Which log records of modules are shown, and how. If both are empty, logging works as under python3.
struct LogArguments {
  std::string level;   ///< One of log_levels.
  std::string format;  ///< One of log_formats.
};

struct RunArguments {
  std::string name;
  std::optional<std::string> state;     ///< JSON text, @FILE or -.
  std::vector<std::string> parameters;  ///< key=value
  HostArguments host;
  LogArguments log;
  std::string output;
  std::string timeout;
  std::string isolation;
  std::string memory_limit;
  std::string trace;
  bool json = false;
  bool verbose = false;
  bool quiet = false;
};

struct MapArguments {
  std::string name;
  std::string states;                   ///< A file, or - for stdin.
  std::vector<std::string> parameters;  ///< key=value
  std::size_t workers = 0;              ///< 0: one for each core.
  std::string isolation = "process";
  std::string timeout;
  std::string import_timeout;
  std::string memory_limit;
  std::uint64_t max_runs_per_worker = 0;  ///< 0: without a limit.
  std::string max_memory_per_worker;
  std::size_t retries = 0;
  std::string output;
  std::string shard;
  std::string trace;
  std::size_t trace_runs = 0;                 ///< 0: all.
  std::string engine;                         ///< Empty: this machine.
  std::vector<std::string> engine_resources;  ///< name=number
  std::size_t engine_retries = 3;
  bool coprocess = false;
  HostArguments host;
  LogArguments log;
  bool ordered = false;
  bool keep_going = false;
  bool resume = false;
  bool redo_changed = false;
  bool verbose = false;
  bool quiet = false;
};

struct ListArguments {
  HostArguments host;
  bool json = false;
};

struct CheckArguments {
  std::vector<std::string> names;
  HostArguments host;
  std::string format;  ///< "text", "json" or "sarif".
  bool json = false;
  bool import = false;
  bool codes = false;
};

struct NewArguments {
  std::string name;
  std::vector<std::string> module_paths;
};

struct DoctorArguments {
  HostArguments host;
  bool json = false;
};

struct StubsArguments {};

/// The arguments that all commands of `pyhost schedule` share.
struct ScheduleArguments {
  std::string from;     ///< A TOML file or connection:NAME; empty: the project file.
  std::string history;  ///< A file or connection:NAME; empty: as in the file.
  HostArguments host;
  bool json = false;
  bool verbose = false;
  bool quiet = false;
};

struct ScheduleListArguments {
  ScheduleArguments schedule;
  std::size_t next = 1;  ///< How many due times of each entry to show.
};

struct ScheduleCheckArguments {
  ScheduleArguments schedule;
};

struct ScheduleHistoryArguments {
  ScheduleArguments schedule;
  std::string name;  ///< Empty: all entries.
  std::size_t limit = 20;
  bool failed = false;
};

struct ScheduleTriggerArguments {
  ScheduleArguments schedule;
  std::string name;
  LogArguments log;
};

/// The arguments of `pause` and `resume`.
struct SchedulePauseArguments {
  ScheduleArguments schedule;
  std::string name;
  bool enabled = false;
};

struct ScheduleRunArguments {
  ScheduleArguments schedule;
  std::size_t workers = 0;  ///< 0: as in the file, otherwise one for each core.
  LogArguments log;
};

struct ScheduleTickArguments {
  ScheduleRunArguments run;
  bool dry_run = false;
};

}  // namespace pyhost::cli
