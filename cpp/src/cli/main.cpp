// The program pyhost: reads the command line and gives it to the command that it names.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iomanip>
#include <memory>
#include <sstream>
#include <string>

#include "command.hpp"
#include "pyhost/python_main.hpp"

namespace pyhost::cli {

ExitCode exit_code(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::ModuleRaised:
      return module_raised;
    case ErrorKind::InvalidName:
    case ErrorKind::InvalidState:
      return usage;
    case ErrorKind::ModuleNotFound:
    case ErrorKind::ImportFailed:
    case ErrorKind::BadContract:
      return not_loaded;
    case ErrorKind::InvalidResult:
      return result_not_json;
    case ErrorKind::StartupFailed:
    case ErrorKind::HostClosed:
      break;
  }
  return not_started;
}

void add_host_arguments(CLI::App& command, HostArguments& arguments) {
  command
      .add_option("-m,--module-path", arguments.module_paths,
                  "A folder that holds modules/; may be repeated (Env:PYHOST_MODULE_PATH, with : between)")
      ->allow_extra_args(false);
  command
      .add_option(
          "--venv", arguments.venv,
          "A virtual environment to import packages from; else VIRTUAL_ENV, else .venv by the modules")
      ->envname("PYHOST_VENV");
  command
      .add_flag("--use-environment", arguments.use_environment,
                "Heed PYTHONPATH, PYTHONHOME and Python's other variables")
      ->envname("PYHOST_USE_ENVIRONMENT");
  command
      .add_option("--shutdown-timeout", arguments.shutdown_timeout,
                  "Seconds that the end waits for threads and atexit handlers of modules (5)")
      ->check(CLI::Range(0.0, 1e6))
      ->envname("PYHOST_SHUTDOWN_TIMEOUT");
}

Options options_from(const HostArguments& arguments) {
  Options options;
  options.venv = arguments.venv;
  options.use_environment = arguments.use_environment;
  options.shutdown_timeout = std::chrono::milliseconds(std::llround(arguments.shutdown_timeout * 1000));
  options.module_paths.assign(arguments.module_paths.begin(), arguments.module_paths.end());
  const char* variable = std::getenv("PYHOST_MODULE_PATH");
  if (!options.module_paths.empty() || variable == nullptr) return options;
  std::istringstream paths(variable);
  for (std::string path; std::getline(paths, path, ':');) {
    if (!path.empty()) options.module_paths.emplace_back(path);
  }
  return options;
}

namespace {

// A command's description goes on with its examples; in the list of commands its first line is enough.
class HelpFormat : public CLI::Formatter {
 public:
  std::string make_subcommand(const CLI::App* command) const override {
    const std::string text = command->get_description();
    std::stringstream out;
    out << "  " << std::left << std::setw(static_cast<int>(get_column_width()) - 2) << command->get_name()
        << text.substr(0, text.find('\n')) << "\n";
    return out.str();
  }
};

// A descriptor that is closed would be given to the next file that is opened, and what is printed would land
// in that. C's stdout goes by lines, as Python's does, so that both come out in their order.
void open_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    const int null = open("/dev/null", O_RDWR);
    if (null != fd && null >= 0) dup2(null, fd), close(null);
  }
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
}

int run_program(int argc, char** argv) {
  int code = ok;
  CLI::App program("Runs Python modules: JSON in, JSON out.", "pyhost");
  program.set_version_flag("--version", "pyhost " PYHOST_VERSION);
  program.set_help_flag("-h,--help", "Print this help and exit");
  program.formatter(std::make_shared<HelpFormat>());
  program.require_subcommand(1);
  program.footer("`pyhost COMMAND -h` shows examples of a command.");
  add_run(program, code);
  add_doctor(program, code);
  try {
    program.parse(argc, argv);
  } catch (const CLI::Success& asked_for_text) {
    return program.exit(asked_for_text);
  } catch (const CLI::ParseError& wrong) {
    const std::string first = argc > 1 ? argv[1] : "";
    const bool known = std::ranges::any_of(
        program.get_subcommands({}), [&](const CLI::App* command) { return command->check_name(first); });
    const bool unknown = !known && !first.empty() && first[0] != '-';
    const std::string problem = unknown ? "there is no command '" + first + "'" : wrong.what();
    std::fprintf(stderr, "error: %s\nhint: see `pyhost -h`%s\n", problem.c_str(),
                 known ? (" and `pyhost " + first + " -h`").c_str() : "");
    return usage;
  }
  return code;
}

}  // namespace

}  // namespace pyhost::cli

int main(int argc, char** argv) {
  if (const std::optional<int> code = pyhost::python_main(argc, argv)) return *code;
  pyhost::cli::open_standard_streams();
  try {
    return pyhost::cli::run_program(argc, argv);
  } catch (const std::exception& unforeseen) {
    std::fprintf(stderr, "error: %s\n", unforeseen.what());
    return pyhost::cli::not_started;
  }
}
