// Parses the command line by CLI11.
#include "cli/command_line.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <iomanip>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/command_options.hpp"
#include "cli/exit_code.hpp"

namespace pyhost::cli {

namespace {

// A command's description contains its examples. The list of commands shows only the first line.
class HelpFormat : public CLI::Formatter {
 public:
  std::string make_subcommand(const CLI::App* command) const override {
    const std::string text = command->get_description();
    std::stringstream out;
    out << "  " << std::left << std::setw(static_cast<int>(get_column_width()) - 2) << command->get_name()
        << text.substr(0, text.find('\n')) << "\n";
    return out.str();
  }

  // Lists the options that a nested command inherits, as in `pyhost schedule run --from`.
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

// Turns off the line wrapping of CLI11 2.5. Our texts are already wrapped, and wrapping would break examples.
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
          "Write the result to this file. With -, write it to stdout, and the module's own output to stderr")
      ->envname("PYHOST_OUTPUT");
  command
      .add_option("--timeout", arguments.timeout,
                  "Cancel the run after this time, as in 30s, 500ms, 2m, 1h; exit code 124")
      ->envname("PYHOST_TIMEOUT");
  command
      .add_option(
          "--isolation", arguments.isolation,
          "host: run in this process. process: run in a worker process, so that a crash or a timeout ends "
          "only the worker")
      ->envname("PYHOST_ISOLATION")
      ->check(is_one_of({"host", "process"}));
  command
      .add_option("--memory-limit", arguments.memory_limit,
                  "With --isolation process: how much memory the run may use, as in 512M, 2G")
      ->envname("PYHOST_MEMORY_LIMIT");
  add_trace(command, arguments.trace);
  add_json(command, arguments.json, "Print one JSON document, and the module's own output to stderr");
  command
      .add_flag("-v,--verbose", arguments.verbose,
                "Print which Python and virtual environment are used, and errors in full")
      ->envname("PYHOST_VERBOSE");
  command.add_flag("-q,--quiet", arguments.quiet, "Print no warnings")->envname("PYHOST_QUIET");
  command.footer(
      std::string(module_paths_note) +
      "If run() yields items, each one is printed at once, on a line of its own. With --json or --isolation\n"
      "process they are printed as one array at the end.\n\n"
      "Exit codes: 0 ok; 1 the module raised an exception; 2 usage error, invalid name or state;\n"
      "3 the module could not be loaded; 4 its result is not JSON; 70 Python could not start;\n"
      "74 the result or the trace could not be written; 124 timed out; 130 ended by Ctrl-C;\n"
      "128+n ended by signal n.");
}

// Refuses the options that a coprocess reads from its order or does not need. Their environment variables are
// meant for all calls of `pyhost map`, so a coprocess ignores them.
void add_coprocess(CLI::App& command, bool& coprocess) {
  std::vector<CLI::Option*> refused;
  for (const char* const name : {"NAME", "--states", "--engine", "--engine-resources", "--engine-retries",
                                 "--output", "--ordered", "--keep-going", "--resume", "--redo-changed",
                                 "--shard", "--trace", "--trace-runs", "--verbose", "--quiet"}) {
    refused.push_back(command.get_option(name));
    refused.back()->check([&coprocess](const std::string&) {
      return coprocess ? std::string("it cannot be used with --coprocess") : std::string();
    });
  }
  const auto set = [&coprocess, refused] {
    coprocess = true;
    for (CLI::Option* const each : refused) each->required(false)->envname("");
  };
  command
      .add_flag_callback("--coprocess", set,
                         "Run as a worker of an engine: read an order and then states from stdin")
      ->trigger_on_parse();
}

void add_map(CLI::App& program, CommandLine& result) {
  auto [command, arguments] = add_command<MapArguments>(
      program, result, "map",
      "Runs a module once for each of many states, several at a time.\n\n"
      "Examples:\n"
      "  pyhost map price --states trades.jsonl -o prices.jsonl\n"
      "  pyhost map price --states trades.jsonl -o prices.jsonl --resume\n"
      "  generate | pyhost map price --states - -j 8 --timeout 30s --keep-going > prices.jsonl\n");
  add_module_name(command, arguments.name);
  command
      .add_option("--states", arguments.states,
                  "A file of JSON lines or with one JSON array, also compressed by gzip or zstd; - is stdin")
      ->required()
      ->envname("PYHOST_STATES");
  add_parameters(command, arguments.parameters, "each state");
  command
      .add_option("-j,--jobs", arguments.workers, "The number of runs at once (default: one for each core)")
      ->check(CLI::Range(jobs_range.least, jobs_range.most))
      ->envname("PYHOST_JOBS");
  command
      .add_option("--isolation", arguments.isolation,
                  "The level of isolation: process, interpreter (Python 3.13 or later), shared (threads)")
      ->check(is_one_of({"process", "interpreter", "shared"}))
      ->capture_default_str()
      ->envname("PYHOST_ISOLATION");
  command
      .add_option("--timeout", arguments.timeout, "Cancel a run after this time, as in 30s, 500ms, 2m, 1h")
      ->envname("PYHOST_TIMEOUT");
  command
      .add_option("--import-timeout", arguments.import_timeout,
                  "Cancel an import of the module after this time (default: with --timeout, 60s or --timeout "
                  "if longer). "
                  "--timeout excludes imports")
      ->envname("PYHOST_IMPORT_TIMEOUT");
  command
      .add_option("--memory-limit", arguments.memory_limit,
                  "How much memory each worker process may use, as in 512M, 2G")
      ->envname("PYHOST_MEMORY_LIMIT");
  command
      .add_option("--max-runs-per-worker", arguments.max_runs_per_worker,
                  "Replace a worker process after this many runs, for modules that leak")
      ->check(CLI::Range(runs_per_worker_range.least, runs_per_worker_range.most))
      ->envname("PYHOST_MAX_RUNS_PER_WORKER");
  command
      .add_option("--max-memory-per-worker", arguments.max_memory_per_worker,
                  "Replace a worker process that uses more memory than this after a run, as in 512M, 2G")
      ->envname("PYHOST_MAX_MEMORY_PER_WORKER");
  command
      .add_option(
          "--engine", arguments.engine,
          "Run on other machines: dask://HOST:PORT, ray://HOST:PORT, or package.module:function, which "
          "returns a concurrent.futures.Executor")
      ->envname("PYHOST_ENGINE");
  command
      .add_option("--engine-resources", arguments.engine_resources,
                  "The resources of the engine that each task needs, as in GPU=1")
      ->envname("PYHOST_ENGINE_RESOURCES");
  command
      .add_option("--engine-retries", arguments.engine_retries,
                  "How often a task is repeated if its worker is lost (default: 3)")
      ->check(CLI::Range(0, 1000))
      ->envname("PYHOST_ENGINE_RETRIES");
  command
      .add_option("--retries", arguments.retries,
                  "How often a run is repeated after a timeout, a crash of its worker, or an import that "
                  "failed after "
                  "another worker had loaded the module (default: 0)")
      ->check(CLI::Range(retries_range.least, retries_range.most))
      ->envname("PYHOST_RETRIES");
  command
      .add_option("-o,--output", arguments.output,
                  "Write the results to this file, and replace its content; - is stdout")
      ->envname("PYHOST_OUTPUT");
  command.add_flag("--ordered", arguments.ordered,
                   "Write results in the order of the states, not in the order in which runs end");
  command.add_flag("--keep-going", arguments.keep_going, "Continue after a state has failed");
  command.add_flag("--resume", arguments.resume,
                   "Continue the file of -o: states that have a result there are not run again");
  command.add_flag("--redo-changed", arguments.redo_changed,
                   "With --resume: run states again if another version of the modules made their result");
  command
      .add_option(
          "--shard", arguments.shard,
          "Run only part i of n, as in 1/4 for the first of four; auto uses the variables of Slurm or "
          "Kubernetes. Each part needs its own -o")
      ->envname("PYHOST_SHARD");
  add_trace(command, arguments.trace);
  command.add_option("--trace-runs", arguments.trace_runs, "Trace only this many runs, the first ones")
      ->check(CLI::PositiveNumber)
      ->envname("PYHOST_TRACE_RUNS");
  add_host_arguments(command, arguments.host);
  add_log_arguments(command, arguments.log);
  command
      .add_flag("-v,--verbose", arguments.verbose,
                "Print which Python and virtual environment are used, and errors in full")
      ->envname("PYHOST_VERBOSE");
  command.add_flag("-q,--quiet", arguments.quiet, "Show no progress, and print no warnings")
      ->envname("PYHOST_QUIET");
  add_coprocess(command, arguments.coprocess);
  command.footer(
      std::string(module_paths_note) +
      "The outcome of each state is a line of JSON: index, status (ok, failed, invalid, timed_out,\n"
      "crashed), hash, code, seconds, and result or error. The module's own output goes to stderr, or to\n"
      "stdout with -o FILE.\n\n"
      "Exit codes: 0 ok; 1 a state failed; 2 usage error, or the states cannot be read; 3 the module could\n"
      "not be loaded; 70 Python could not start; 74 the results or the trace could not be written;\n"
      "75 the engine cannot be reached; 130 ended by Ctrl-C; 128+n ended by signal n.");
}

void add_list(CLI::App& program, CommandLine& result) {
  auto [command, arguments] =
      add_command<ListArguments>(program, result, "list",
                                 "Lists the modules in the module paths, without importing them.\n\n"
                                 "Examples:\n"
                                 "  pyhost list\n"
                                 "  pyhost list -m scripts -m more_scripts\n"
                                 "  pyhost list --json | python3 -m json.tool\n");
  add_host_arguments(command, arguments.host);
  add_json(command, arguments.json, "Print one JSON document");
  command.footer(
      std::string(module_paths_note) +
      "Each line has a module's name, the first line of its docstring, and its file. For a broken module it\n"
      "has the error and its line number instead of the docstring; `pyhost check NAME` shows all errors.\n\n"
      "Exit codes: 0 ok, even if a module is broken; 2 usage error; 70 Python could not start;\n"
      "74 the list could not be written.");
}

void add_check(CLI::App& program, CommandLine& result) {
  auto [command, arguments] = add_command<CheckArguments>(program, result, "check",
                                                          "Checks that modules keep the contract.\n\n"
                                                          "Examples:\n"
                                                          "  pyhost check\n"
                                                          "  pyhost check mod1 portfolio --import\n"
                                                          "  pyhost check --format sarif > pyhost.sarif\n");
  command.add_option("NAME", arguments.names, "The modules to check (default: all)");
  add_host_arguments(command, arguments.host);
  command
      .add_flag("--import", arguments.import,
                "Also import the modules without errors and check their create; this runs their code")
      ->envname("PYHOST_IMPORT");
  command.add_option("--format", arguments.format, "The format of the diagnostics on stdout (default: text)")
      ->check(is_one_of({"text", "json", "sarif"}))
      ->envname("PYHOST_FORMAT");
  add_json(command, arguments.json, "The same as --format json");
  command.add_flag("--codes", arguments.codes, "Print the meaning of each code, and exit");
  command.footer(
      std::string(module_paths_note) +
      "Each line is file:line:column: message [code]; `pyhost check --codes` explains the codes. Only a\n"
      "mistake that is certain to fail is an error. Modules whose names begin with an underscore, and "
      "packages\n"
      "that only contain modules, need no create, unless they are named as NAME.\n\n"
      "Exit codes: 0 no errors; 2 usage error or invalid name; 3 there are errors, or a named module does\n"
      "not exist; 70 Python could not start; 74 the diagnostics could not be written.");
}

void add_new(CLI::App& program, CommandLine& result) {
  auto [command, arguments] = add_command<NewArguments>(program, result, "new",
                                                        "Creates a module to start from, and its test.\n\n"
                                                        "Examples:\n"
                                                        "  pyhost new shout\n"
                                                        "  pyhost new reports.daily\n"
                                                        "  pyhost new shout -m scripts\n");
  add_module_name(command, arguments.name, "; dots make packages");
  add_module_paths(command, arguments.module_paths);
  command.footer(
      "It creates DIR/modules/NAME.py and DIR/tests/test_NAME.py. DIR is the first module path that is\n"
      "given, otherwise ./python_modules if it exists, otherwise the current folder. Existing files are\n"
      "never overwritten.\n\n"
      "Exit codes: 0 ok; 2 usage error, invalid name, or a file that already exists; 74 a file could not\n"
      "be written.");
}

void add_doctor(CLI::App& program, CommandLine& result) {
  auto [command, arguments] =
      add_command<DoctorArguments>(program, result, "doctor",
                                   "Shows the Python that a host would use, and what is wrong with it.\n\n"
                                   "Examples:\n"
                                   "  pyhost doctor\n"
                                   "  pyhost doctor --venv .venv -m scripts\n"
                                   "  pyhost doctor --json | python3 -m json.tool\n");
  add_host_arguments(command, arguments.host);
  add_json(command, arguments.json, "Print one JSON document");
  command.footer(
      "No module is imported. It also works if Python cannot start, and is most useful then.\n\n"
      "Exit codes: 0 a host can be opened, even if there are warnings; 70 a host cannot be opened.");
}

void add_stubs(CLI::App& program, CommandLine& result) {
  add_command<StubsArguments>(
      program, result, "stubs",
      "Prints the type stubs of `from pyhost import services`.\n\n"
      "The program itself provides no services. An application that provides some prints its own stubs by\n"
      "calling host.services().stubs().\n");
}

// To make the options of a command takes longer than to parse them. So if the first word names a command,
// only the options of this one are made.
struct Command {
  std::string_view name;
  void (*add)(CLI::App& program, CommandLine& result);
};

constexpr std::array<Command, 8> commands{{{"run", add_run},
                                           {"map", add_map},
                                           {"list", add_list},
                                           {"check", add_check},
                                           {"new", add_new},
                                           {"doctor", add_doctor},
                                           {"schedule", add_schedule},
                                           {"stubs", add_stubs}}};

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
  program.set_version_flag("--version", "pyhost " PYHOST_VERSION, "Print the version and exit");
  program.set_help_flag("-h,--help", "Print this help and exit");
  program.formatter(with_lines_kept(std::make_shared<HelpFormat>()));
  program.require_subcommand(1);
  program.footer("`pyhost COMMAND -h` shows examples of a command.");
  const auto named = std::ranges::find(commands, argc > 1 ? argv[1] : "", &Command::name);
  for (const Command& command : commands) {
    if (named == commands.end() || named->name == command.name) command.add(program, result);
  }
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
