// pyhost run NAME: one module, one state, one result.
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "command.hpp"
#include "pyhost/pyhost.hpp"
#include "result_stream.hpp"

namespace pyhost::cli {

namespace {

struct Arguments {
  std::string name;
  std::string state = "{}";
  std::vector<std::string> parameters;
  HostArguments host;
  LogArguments log;
  std::string output;
  bool json = false;
  bool verbose = false;
  bool quiet = false;
};

std::string read_all(std::istream& stream) {
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

std::string state_text(const std::string& given) {
  if (given == "-") return read_all(std::cin);
  if (!given.starts_with('@')) return given;
  const std::string file = given.substr(1);
  const bool folder = std::filesystem::is_directory(file);
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  if (folder || !stream) {
    throw Usage("cannot read the state from '" + file + "': " + std::strerror(folder ? EISDIR : errno));
  }
  return read_all(stream);
}

// A parameter's value is JSON if it can be read as such, else a string.
std::string value_text(const std::string& value) {
  try {
    const Json readable = Json::parse(value);
    return value;
  } catch (const Json::out_of_range&) {
    return value;  // a number that Json cannot hold: the text can
  } catch (const Json::parse_error&) {
    return Json(value).dump();
  }
}

// Members are added to the text of the state, not to a Json made of it, so that the rest of the text stays
// exactly as it was given. Of two members with one key the last one counts. If the text is no JSON object,
// what comes out is none either, and is refused with the line and column of the fault.
std::string with_parameters(std::string state, const std::vector<std::string>& parameters) {
  if (parameters.empty()) return state;
  std::string members;
  for (const std::string& parameter : parameters) {
    const std::size_t equals = parameter.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw Usage("-p takes key=value, and got '" + parameter + "'");
    }
    try {
      members += (members.empty() ? "" : ",") + Json(parameter.substr(0, equals)).dump() + ":" +
                 value_text(parameter.substr(equals + 1));
    } catch (const Json::exception&) {
      throw Usage("a parameter is not valid UTF-8");
    }
  }
  const std::size_t end = state.find_last_not_of(" \t\r\n");
  if (end == std::string::npos || state[end] != '}') return state;
  const std::size_t before = end == 0 ? std::string::npos : state.find_last_not_of(" \t\r\n", end - 1);
  const bool empty = before != std::string::npos && state[before] == '{';
  return state.substr(0, end) + (empty ? "" : ",") + members + state.substr(end);
}

std::string seconds_since(std::chrono::steady_clock::time_point start) {
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
  return Json(std::round(passed.count() * 1e6) / 1e6).dump();
}

// Colour is for people: never in a file or a pipe, nor where NO_COLOR says so.
void print(const Error& error, bool verbose) {
  const auto is_set = [](const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr && *value != '\0';
  };
  const bool colour = isatty(STDERR_FILENO) != 0 && is_set("TERM") &&
                      std::strcmp(std::getenv("TERM"), "dumb") != 0 && !is_set("NO_COLOR");
  std::cerr << (colour ? "\x1b[1;31merror:\x1b[0m " : "error: ")
            << error.rendered({.colour = colour, .verbose = verbose});
}

// Where the modules run, for who wants to know; what was found and is not used, for all.
void say_environment(const Environment& environment, const Arguments& arguments) {
  if (arguments.quiet) return;
  for (const std::string& warning : environment.warnings) std::cerr << "warning: " << warning << "\n";
  if (!arguments.verbose) return;
  std::cerr << "pyhost: Python " << environment.version << " from " << environment.library.string() << "\n"
            << "pyhost: virtual environment: "
            << (environment.venv.empty() ? "none"
                                         : environment.venv.string() + " (" + environment.venv_source + ")")
            << "\n";
}

// After Ctrl-C the process ends by that signal, as python3 does, so that a shell script around it stops too;
// but only once modules have had their end: atexit functions run in the reverse of their order here.
bool by_interrupt = false;

void end_by_interrupt() {
  if (!by_interrupt) return;
  std::signal(SIGINT, SIG_DFL);
  std::raise(SIGINT);
}

int run(const Arguments& arguments) {
  const std::string state = with_parameters(state_text(arguments.state), arguments.parameters);
  const ResultStream output(arguments.output, arguments.json);
  const auto start = std::chrono::steady_clock::now();
  std::atexit(end_by_interrupt);
  std::optional<Host> host;
  try {
    Options options = options_from(arguments.host);
    options.interruptible = true;
    set_log(options, arguments.log);
    host.emplace(std::move(options));
    say_environment(host->environment(), arguments);
    const std::string result = host->run_text(arguments.name, state);
    if (arguments.json) {
      output.write_line("{\"name\":" + Json(arguments.name).dump() + ",\"result\":" + result +
                        ",\"seconds\":" + seconds_since(start) + "}");
    } else if (result != "null" || !arguments.output.empty()) {
      output.write_line(result);
    }
    return ok;
  } catch (const Error& error) {
    if (host) host->flush_logs();  // what led to it stands before it
    if (arguments.json) {
      const auto shown = Json::error_handler_t::replace;
      output.write_line("{\"name\":" + Json(arguments.name).dump(-1, ' ', false, shown) +
                        ",\"error\":" + error.to_json().dump(-1, ' ', false, shown) +
                        ",\"seconds\":" + seconds_since(start) + "}");
    } else {
      print(error, arguments.verbose);
    }
    by_interrupt = host && host->interrupted() && error.exception().type == "KeyboardInterrupt";
    return exit_code(error.kind());
  }
}

constexpr const char* examples =
    "Runs a module once.\n\n"
    "Examples:\n"
    "  pyhost run mod1\n"
    "  pyhost run portfolio --state @positions.json -o value.json\n"
    "  pyhost run csv_summary -p path=data.csv --json | python3 -m json.tool\n";

}  // namespace

void add_run(CLI::App& program, int& code) {
  CLI::App* command = program.add_subcommand("run", examples);
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("NAME", arguments->name, "The module's name, as in modules/NAME.py")->required();
  command->add_option("-s,--state", arguments->state, "The state: JSON text, @FILE, or - for standard input")
      ->envname("PYHOST_STATE");
  command
      ->add_option("-p,--param", arguments->parameters, "key=value added to the state; JSON, else a string")
      ->allow_extra_args(false);
  add_host_arguments(*command, arguments->host);
  add_log_arguments(*command, arguments->log);
  command->add_option("-o,--output", arguments->output, "Write the result to this file")
      ->envname("PYHOST_OUTPUT");
  command
      ->add_flag("--json", arguments->json, "Print one JSON document; what the module prints goes to stderr")
      ->envname("PYHOST_JSON");
  command
      ->add_flag("-v,--verbose", arguments->verbose,
                 "Say what Python and which environment it runs on, and tell an error in full")
      ->envname("PYHOST_VERBOSE");
  command->add_flag("-q,--quiet", arguments->quiet, "Print no warnings")->envname("PYHOST_QUIET");
  command->footer(
      std::string(module_paths_footer) +
      "Exit codes: 0 ok; 1 the module raised; 2 usage, bad name or bad state; 3 it could not be loaded;\n"
      "4 its result is not JSON; 70 Python could not start; 74 the result could not be written;\n"
      "130 ended by Ctrl-C, and 128+n by signal n.");
  command->callback([arguments, &code] { code = exit_code_of("run", [&] { return run(*arguments); }); });
}

}  // namespace pyhost::cli
