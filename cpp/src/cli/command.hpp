// What the commands have in common: exit codes, which are API, the flags that open a host, failures, and one
// function a command.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "pyhost/environment.hpp"
#include "pyhost/error.hpp"
#include "pyhost/options.hpp"

namespace CLI {
class App;
}

namespace pyhost {
class Host;
}

namespace pyhost::cli {

enum ExitCode : int {
  ok = 0,
  module_raised = 1,
  usage = 2,
  not_loaded = 3,
  result_not_json = 4,
  not_started = 70,
  not_written = 74,
  timed_out = 124,
};

/// The exit code that an error of this kind has.
ExitCode exit_code(ErrorKind kind) noexcept;

struct Configuration;

/// What a command's work gives; of a failure, its exit code once stderr has been told.
int exit_code_of(const std::string& command, const std::function<int()>& work);

/// What the footer of such a command says about it.
inline constexpr const char* module_paths_footer =
    "Without -m, modules are looked for in ./python_modules, in . if it holds a folder modules,\n"
    "and among the modules that came with pyhost.\n\n";

/// What says how a host is opened.
struct HostArguments {
  std::vector<std::string> module_paths;
  std::string venv;
  bool use_environment = false;
  std::string store;
  double shutdown_timeout = 5;
};

/// Adds -m/--module-path to a command, which is all that one without a host needs.
void add_module_paths(CLI::App& command, HostArguments& arguments);

/// Adds the flags that open a host to a command.
void add_host_arguments(CLI::App& command, HostArguments& arguments);

/// The options that they come to: flags beat variables of the environment, and these beat the project's file.
Options options_from(const HostArguments& arguments);
Options options_from(const HostArguments& arguments, const Configuration& file);

/// Where the modules run, for who wants to know; what was found and is not used, for all but the quiet.
void say_environment(const Environment& environment, bool verbose, bool quiet);

/// Writes an error to stderr, for people.
void print(const Error& error, bool verbose);

/// What modules raise while they are closed, which may be after all else has been told.
class CloseErrors {
 public:
  /// Has to outlive the host.
  void listen_to(Options& options);

  /// Notes them from now on: those before had a result to be told with.
  void begin() noexcept { begun_ = true; }

  /// Writes those that `told` is not to stderr, and says whether there were any.
  bool print(const Error* told, bool verbose);

 private:
  std::atomic<bool> begun_ = false;
  std::mutex mutex_;
  std::vector<Error> errors_;
};

/// How long a run of the module may take: what --timeout says, else the project's file. Throws UsageError.
std::optional<std::chrono::milliseconds> timeout_of(const std::string& module, const std::string& given);

/// In bytes what --memory-limit says; 0 if it says nothing. Throws UsageError.
std::size_t memory_limit_of(const std::string& given);

/// After Ctrl-C the process ends by that signal, as python3 does, so that a shell script around it stops too;
/// but only once modules have had their end, for which this is called before there is a host.
void prepare_end_by_signal();
void end_by_signal(int signal);

/// What of a module's logging is shown, and how; if neither is said, that is the module's own affair.
struct LogArguments {
  std::string level;
  std::string format;
};

/// Adds --log-level and --log-format.
void add_log_arguments(CLI::App& command, LogArguments& arguments);

/// Has the host write what modules log to stderr, if it was asked for.
void set_log(Options& options, const LogArguments& arguments);

/// Says how many log records were dropped, if any were, once all the others are written.
void say_dropped_logs(Host& host);

/// Adds a command to the program; its callback writes the exit code to `code`.
void add_check(CLI::App& program, int& code);
void add_list(CLI::App& program, int& code);
void add_map(CLI::App& program, int& code);
void add_new(CLI::App& program, int& code);
void add_run(CLI::App& program, int& code);
void add_doctor(CLI::App& program, int& code);
void add_stubs(CLI::App& program, int& code);

}  // namespace pyhost::cli
