// Adds the options that several commands have.
#include "cli/command_options.hpp"

#include <memory>
#include <utility>

namespace pyhost::cli {

void add_module_name(CLI::App& command, std::string& name, const std::string& more) {
  command.add_option("NAME", name, "The module's name, as in modules/NAME.py" + more)->required();
}

void add_parameters(CLI::App& command, std::vector<std::string>& parameters, const std::string& state) {
  command
      .add_option("-p,--param", parameters,
                  "Add key=value to " + state + "; the value is JSON, otherwise a string")
      ->allow_extra_args(false);
}

void add_module_paths(CLI::App& command, std::vector<std::string>& paths) {
  command
      .add_option("-m,--module-path", paths,
                  "A folder that contains modules/; may be repeated (Env:PYHOST_MODULE_PATH, separated by :)")
      ->allow_extra_args(false);
}

void add_host_arguments(CLI::App& command, HostArguments& arguments) {
  add_module_paths(command, arguments.module_paths);
  command
      .add_option("--venv", arguments.venv,
                  "The virtual environment to import packages from (default: venv of pyhost.toml, otherwise "
                  "VIRTUAL_ENV, "
                  "otherwise .venv in a module path or in its parent folder, otherwise the one that pyhost "
                  "is installed in)")
      ->envname("PYHOST_VENV");
  command
      .add_flag("--use-environment", arguments.use_environment,
                "Use PYTHONPATH, PYTHONHOME and Python's other variables, which are ignored otherwise")
      ->envname("PYHOST_USE_ENVIRONMENT");
  command
      .add_option("--store", arguments.store,
                  "The SQLite file that keeps the values of pyhost.store; created if it does not exist")
      ->envname("PYHOST_STORE");
  command
      .add_option(
          "--shutdown-timeout", arguments.shutdown_timeout,
          "How many seconds to wait at the end for threads and atexit handlers of modules (default: 5)")
      ->check(CLI::Range(0.0, 1e6))
      ->envname("PYHOST_SHUTDOWN_TIMEOUT");
}

CLI::Validator is_one_of(std::vector<std::string> words) { return CLI::IsMember(std::move(words)); }

void add_log_arguments(CLI::App& command, LogArguments& arguments) {
  command
      .add_option("--log-level", arguments.level,
                  "Write the modules' log records from this level on to stderr: debug, info, warning, error, "
                  "critical, off")
      ->check(is_one_of({log_levels.begin(), log_levels.end()}))
      ->envname("PYHOST_LOG_LEVEL");
  command
      .add_option("--log-format", arguments.format,
                  "The format of log records: text, or json with one document per line. Without both log "
                  "options, logging works as under python3")
      ->check(is_one_of({log_formats.begin(), log_formats.end()}))
      ->envname("PYHOST_LOG_FORMAT");
}

void add_trace(CLI::App& command, std::string& file) {
  command
      .add_option(
          "--trace", file,
          "Write a trace of where time is spent to this file, for ui.perfetto.dev or chrome://tracing")
      ->envname("PYHOST_TRACE");
}

void add_json(CLI::App& command, bool& json, const std::string& text) {
  command.add_flag("--json", json, text)->envname("PYHOST_JSON");
}

}  // namespace pyhost::cli
