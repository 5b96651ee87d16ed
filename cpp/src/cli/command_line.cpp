// Parses the command line by CLI11.
#include "cli/command_line.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <iomanip>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "cli/command_options.hpp"
#include "cli/exit_code.hpp"

namespace pyhost::cli {

namespace {

// A command's description ends with its examples. In the list of commands only its first line is shown.
class HelpFormat : public CLI::Formatter {
 public:
  std::string make_subcommand(const CLI::App* command) const override {
    const std::string text = command->get_description();
    std::stringstream out;
    out << "  " << std::left << std::setw(static_cast<int>(get_column_width()) - 2) << command->get_name()
        << text.substr(0, text.find('\n')) << "\n";
    return out.str();
  }

  // The options that a command takes for the one around it are its own for the user.
  std::string make_footer(const CLI::App* command) const override {
    std::string text;
    if (const CLI::App* const outer = command->get_parent(); outer != nullptr && command->get_fallthrough()) {
      const auto is_common = [&](const CLI::Option* option) {
        return option != outer->get_help_ptr() && option->get_name() != "--next";
      };
      text = make_group("Options of all `pyhost " + outer->get_name() + "` commands", false,
                        outer->get_options(is_common)) +
             "\n";
      text.erase(0, text.find_first_not_of('\n'));
    }
    return text + CLI::Formatter::make_footer(command);
  }
};

// CLI11 2.5 wraps texts into new lines. Ours are wrapped already, and examples must stay as they are.
template <class Format>
std::shared_ptr<Format> with_lines_kept(std::shared_ptr<Format> format) {
  if constexpr (requires { format->enable_description_formatting(false); }) {
    format->enable_description_formatting(false);
    format->enable_footer_formatting(false);
  }
  return format;
}

void add_run(CLI::App& program, CommandLine& result) {
  auto [command, arguments] =
      add_command<RunArguments>(program, result, "run",
                                "Runs a module once.\n\n"
                                "Examples:\n"
                                "  pyhost run mod1\n"
                                "  pyhost run portfolio --state @positions.json -o value.json\n"
                                "  pyhost run csv_summary -p path=data.csv --json | python3 -m json.tool\n");
  add_module_name(command, arguments.name);
  command.add_option("-s,--state", arguments.state, "The state: JSON text, @FILE, or - for standard input")
      ->envname("PYHOST_STATE");
  add_parameters(command, arguments.parameters, "the state");
  add_host_arguments(command, arguments.host);
  add_log_arguments(command, arguments.log);
  command
      .add_option(
          "-o,--output", arguments.output,
          "Write the result to this file; - is stdout, and what the module prints goes to stderr then")
      ->envname("PYHOST_OUTPUT");
  command
      .add_option("--timeout", arguments.timeout,
                  "Stop the run after this time, as in 30s, 500ms, 2m, 1h; exit code 124")
      ->envname("PYHOST_TIMEOUT");
  command
      .add_option(
          "--isolation", arguments.isolation,
          "host: in this process. process: in a worker process, which is killed at the timeout and may "
          "crash alone")
      ->envname("PYHOST_ISOLATION")
      ->check(is_one_of({"host", "process"}));
  command
      .add_option("--memory-limit", arguments.memory_limit,
                  "With --isolation process: so much memory the run may take, as in 512M, 2G")
      ->envname("PYHOST_MEMORY_LIMIT");
  add_trace(command, arguments.trace);
  add_json(command, arguments.json, "Print one JSON document; what the module prints goes to stderr");
  command
      .add_flag("-v,--verbose", arguments.verbose,
                "Say what Python and which environment it runs on, and tell an error in full")
      ->envname("PYHOST_VERBOSE");
  command.add_flag("-q,--quiet", arguments.quiet, "Print no warnings")->envname("PYHOST_QUIET");
  command.footer(
      std::string(module_paths_note) +
      "Exit codes: 0 ok; 1 the module raised; 2 usage, bad name or bad state; 3 it could not be loaded;\n"
      "4 its result is not JSON; 70 Python could not start; 74 the result or trace could not be written;\n"
      "124 timed out; 130 ended by Ctrl-C, and 128+n by signal n.\n\n"
      "What run() yields is printed item by item, a line each; with --json or --isolation process as one "
      "array at\nthe end.");
}

// The order says what these options would say, or a coprocess has no use for them. Variables of the
// environment are for all calls of `pyhost map`, so they are ignored here.
void add_coprocess(CLI::App& command, bool& coprocess) {
  std::vector<CLI::Option*> refused;
  for (const char* const name : {"NAME", "--states", "--engine", "--engine-resources", "--engine-retries",
                                 "--output", "--ordered", "--keep-going", "--resume", "--redo-changed",
                                 "--shard", "--trace", "--trace-runs", "--verbose", "--quiet"}) {
    refused.push_back(command.get_option(name));
    refused.back()->check([&coprocess](const std::string&) {
      return coprocess ? std::string("it cannot be given beside --coprocess") : std::string();
    });
  }
  const auto set = [&coprocess, refused] {
    coprocess = true;
    for (CLI::Option* const each : refused) each->required(false)->envname("");
  };
  command
      .add_flag_callback("--coprocess", set,
                         "Read an order and then states from stdin, as the worker of an engine")
      ->trigger_on_parse();
}

void add_map(CLI::App& program, CommandLine& result) {
  auto [command, arguments] = add_command<MapArguments>(
      program, result, "map",
      "Runs a module once for each of many states, several at once.\n\n"
      "Examples:\n"
      "  pyhost map price --states trades.jsonl -o prices.jsonl\n"
      "  pyhost map price --states trades.jsonl -o prices.jsonl --resume\n"
      "  generate | pyhost map price --states - -j 8 --timeout 30s --keep-going > prices.jsonl\n");
  add_module_name(command, arguments.name);
  command
      .add_option("--states", arguments.states,
                  "A file of JSON lines, or of one JSON array, also in gzip or zstd; - for stdin")
      ->required()
      ->envname("PYHOST_STATES");
  add_parameters(command, arguments.parameters, "each state");
  command.add_option("-j,--jobs", arguments.workers, "How many run at once; else one for each core")
      ->check(CLI::Range(jobs_range.least, jobs_range.most))
      ->envname("PYHOST_JOBS");
  command
      .add_option("--isolation", arguments.isolation,
                  "What keeps runs apart: process, interpreter (Python 3.13), shared (threads)")
      ->check(is_one_of({"process", "interpreter", "shared"}))
      ->capture_default_str()
      ->envname("PYHOST_ISOLATION");
  command.add_option("--timeout", arguments.timeout, "Stop a run after this time, as in 30s, 500ms, 2m, 1h")
      ->envname("PYHOST_TIMEOUT");
  command
      .add_option(
          "--import-timeout", arguments.import_timeout,
          "Stop an import of the module, which --timeout does not count, after this time; else 60s, or "
          "--timeout if that is longer")
      ->envname("PYHOST_IMPORT_TIMEOUT");
  command
      .add_option("--memory-limit", arguments.memory_limit,
                  "Memory that each worker process may have, as in 512M, 2G")
      ->envname("PYHOST_MEMORY_LIMIT");
  command
      .add_option("--max-runs-per-worker", arguments.max_runs_per_worker,
                  "Replace a worker process after this many runs, for modules that leak")
      ->check(CLI::Range(runs_per_worker_range.least, runs_per_worker_range.most))
      ->envname("PYHOST_MAX_RUNS_PER_WORKER");
  command
      .add_option("--max-memory-per-worker", arguments.max_memory_per_worker,
                  "Replace a worker process after a run that leaves it with more memory, as in 512M, 2G")
      ->envname("PYHOST_MAX_MEMORY_PER_WORKER");
  command
      .add_option(
          "--engine", arguments.engine,
          "Run on other machines: dask://HOST:PORT, ray://HOST:PORT, or package.module:function, a function "
          "that returns a concurrent.futures.Executor")
      ->envname("PYHOST_ENGINE");
  command
      .add_option("--engine-resources", arguments.engine_resources,
                  "What each task needs of the engine's resources, as in GPU=1")
      ->envname("PYHOST_ENGINE_RESOURCES");
  command
      .add_option("--engine-retries", arguments.engine_retries,
                  "How often a task is tried again if its worker is lost (3)")
      ->check(CLI::Range(0, 1000))
      ->envname("PYHOST_ENGINE_RETRIES");
  command
      .add_option("--retries", arguments.retries,
                  "Make a run again, so many times, that timed out or whose worker crashed (0)")
      ->check(CLI::Range(retries_range.least, retries_range.most))
      ->envname("PYHOST_RETRIES");
  command
      .add_option("-o,--output", arguments.output,
                  "Write the results to this file, in the place of what it has; - is stdout")
      ->envname("PYHOST_OUTPUT");
  command.add_flag("--ordered", arguments.ordered,
                   "Write results in the order of the states, not as they come");
  command.add_flag("--keep-going", arguments.keep_going, "Go on after a state that failed");
  command.add_flag("--resume", arguments.resume,
                   "Go on from what -o has: states that have a result there are not run again");
  command.add_flag("--redo-changed", arguments.redo_changed,
                   "With --resume: run states again whose result is of another version of the modules");
  command
      .add_option(
          "--shard", arguments.shard,
          "Run a part: i/n, as in 1/4 for the first of four; auto asks Slurm or Kubernetes. Each part "
          "needs an -o of its own")
      ->envname("PYHOST_SHARD");
  add_trace(command, arguments.trace);
  command.add_option("--trace-runs", arguments.trace_runs, "Trace only this many runs, from the first on")
      ->check(CLI::PositiveNumber)
      ->envname("PYHOST_TRACE_RUNS");
  add_host_arguments(command, arguments.host);
  add_log_arguments(command, arguments.log);
  command
      .add_flag("-v,--verbose", arguments.verbose, "Say what Python it runs on, and tell an error in full")
      ->envname("PYHOST_VERBOSE");
  command.add_flag("-q,--quiet", arguments.quiet, "Show no progress, and print no warnings")
      ->envname("PYHOST_QUIET");
  add_coprocess(command, arguments.coprocess);
  command.footer(
      std::string(module_paths_note) +
      "Each state has a line of JSON: index, status (ok, failed, invalid, timed_out, crashed), hash, "
      "code,\n"
      "seconds, result or error. What modules print goes to stderr, or with -o FILE to stdout.\n\n"
      "Exit codes: 0 ok; 1 a state failed; 2 usage, or the states cannot be read; 3 the module could not be\n"
      "loaded; 70 Python could not start; 74 the results or the trace could not be written; 130 ended by "
      "Ctrl-C.");
}

void add_list(CLI::App& program, CommandLine& result) {
  auto [command, arguments] =
      add_command<ListArguments>(program, result, "list",
                                 "Lists the modules that are there, without importing them.\n\n"
                                 "Examples:\n"
                                 "  pyhost list\n"
                                 "  pyhost list -m scripts -m more_scripts\n"
                                 "  pyhost list --json | python3 -m json.tool\n");
  add_host_arguments(command, arguments.host);
  add_json(command, arguments.json, "Print one JSON document");
  command.footer(
      std::string(module_paths_note) +
      "Each line has a module's name, the first line of its docstring, and its file; a broken one says\n"
      "what is wrong and in which line, and `pyhost check NAME` says more. Files are read, nothing runs.\n\n"
      "Exit codes: 0 ok, also if a module is broken; 2 usage; 70 Python could not start;\n"
      "74 the list could not be written.");
}

void add_check(CLI::App& program, CommandLine& result) {
  auto [command, arguments] = add_command<CheckArguments>(program, result, "check",
                                                          "Checks that modules keep the contract.\n\n"
                                                          "Examples:\n"
                                                          "  pyhost check\n"
                                                          "  pyhost check mod1 portfolio --import\n"
                                                          "  pyhost check --format sarif > pyhost.sarif\n");
  command.add_option("NAME", arguments.names, "The modules to check; all that are there if none is named");
  add_host_arguments(command, arguments.host);
  command
      .add_flag("--import", arguments.import,
                "Also import what has no error yet, and look at its create; this runs the modules' code")
      ->envname("PYHOST_IMPORT");
  command.add_option("--format", arguments.format, "How diagnostics are written to stdout; text by default")
      ->check(is_one_of({"text", "json", "sarif"}))
      ->envname("PYHOST_FORMAT");
  add_json(command, arguments.json, "The same as --format json");
  command.add_flag("--codes", arguments.codes, "Print what each code means, and exit");
  command.footer(
      std::string(module_paths_note) +
      "Each line is file:line:column: message [code]; `pyhost check --codes` explains the codes. Only\n"
      "what is certain to fail is an error. A module whose name begins with _ and a package that only\n"
      "holds modules need no create, unless they are named.\n\n"
      "Exit codes: 0 no error; 2 usage or bad name; 3 an error was found, or there is no such module;\n"
      "70 Python could not start; 74 the diagnostics could not be written.");
}

void add_new(CLI::App& program, CommandLine& result) {
  auto [command, arguments] = add_command<NewArguments>(program, result, "new",
                                                        "Writes a module to start from, and its test.\n\n"
                                                        "Examples:\n"
                                                        "  pyhost new shout\n"
                                                        "  pyhost new reports.daily\n"
                                                        "  pyhost new shout -m scripts\n");
  add_module_name(command, arguments.name, "; dots make packages");
  add_module_paths(command, arguments.module_paths);
  command.footer(
      "It writes DIR/modules/NAME.py and DIR/tests/test_NAME.py, where DIR is the first module path that is\n"
      "given, else ./python_modules if that is there, else the current folder. Nothing is overwritten.\n\n"
      "Exit codes: 0 ok; 2 usage, a bad name, or a file that is there already; 74 a file could not be "
      "written.");
}

void add_doctor(CLI::App& program, CommandLine& result) {
  auto [command, arguments] =
      add_command<DoctorArguments>(program, result, "doctor",
                                   "Says what Python modules would run on, and what is wrong with it.\n\n"
                                   "Examples:\n"
                                   "  pyhost doctor\n"
                                   "  pyhost doctor --venv .venv -m scripts\n"
                                   "  pyhost doctor --json | python3 -m json.tool\n");
  add_host_arguments(command, arguments.host);
  add_json(command, arguments.json, "Print one JSON document");
  command.footer(
      "No module is imported. It works, and is most useful, where Python cannot start.\n\n"
      "Exit codes: 0 a host can be opened; 70 it cannot: there is a fault.");
}

void add_stubs(CLI::App& program, CommandLine& result) {
  add_command<StubsArguments>(
      program, result, "stubs",
      "Prints pyhost/services.pyi: what modules may call by `from pyhost import services`.\n\n"
      "The program itself provides no services. An application that links pyhost prints its own by\n"
      "host.services().stubs().\n");
}

int print_mistake(const CLI::App& program, const CLI::ParseError& mistake, int argc, char** argv) {
  std::string path = "pyhost", problem = mistake.what();
  const CLI::App* command = &program;
  for (int i = 1; i < argc && !command->get_subcommands({}).empty(); ++i) {
    const std::string word = argv[i];
    const auto named = command->get_subcommands([&](const CLI::App* each) { return each->check_name(word); });
    if (named.empty()) {
      const std::string known = path.substr(path.find(' ') + 1) + " ";
      if (!word.empty() && word[0] != '-')
        problem = "there is no command '" + (command == &program ? "" : known) + word + "'";
      break;
    }
    command = named[0];
    path += " " + word;
  }
  std::fprintf(stderr, "error: %s\nhint: see `pyhost -h`%s\n", problem.c_str(),
               command != &program ? (" and `" + path + " -h`").c_str() : "");
  return usage;
}

}  // namespace

CommandLine parse_command_line(int argc, char** argv) {
  CommandLine result;
  CLI::App program("Runs Python modules: JSON in, JSON out.", "pyhost");
  program.set_version_flag("--version", "pyhost " PYHOST_VERSION);
  program.set_help_flag("-h,--help", "Print this help and exit");
  program.formatter(with_lines_kept(std::make_shared<HelpFormat>()));
  program.require_subcommand(1);
  program.footer("`pyhost COMMAND -h` shows examples of a command.");
  add_run(program, result);
  add_map(program, result);
  add_list(program, result);
  add_check(program, result);
  add_new(program, result);
  add_doctor(program, result);
  add_schedule(program, result);
  add_stubs(program, result);
  try {
    program.parse(argc, argv);
  } catch (const CLI::Success& asked_for_text) {
    result.exit_code = program.exit(asked_for_text);
  } catch (const CLI::ParseError& mistake) {
    result.exit_code = print_mistake(program, mistake, argc, argv);
  }
  return result;
}

}  // namespace pyhost::cli
