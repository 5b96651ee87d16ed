// pyhost run NAME: one module, one state, one result.
#include <fcntl.h>
#include <unistd.h>

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

namespace pyhost::cli {

namespace {

struct Arguments {
  std::string name;
  std::string state = "{}";
  std::vector<std::string> parameters;
  HostArguments host;
  std::string output;
  bool json = false;
  bool verbose = false;
  bool quiet = false;
};

// A mistake of the caller's that no Error has a kind for.
struct Usage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The result is there, but it could not be put where it was wanted.
struct NotWritten : std::runtime_error {
  using std::runtime_error::runtime_error;
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

// Where the result goes. It takes stdout over with --json: what a module prints then goes to stderr, also
// if C code or a child process prints it.
class ResultStream {
 public:
  explicit ResultStream(const Arguments& arguments) : file_(arguments.output) {
    if (fcntl(STDOUT_FILENO, F_GETFD) < 0) {
      throw NotWritten("stdout is closed: what the module prints would be lost; to lose it, use >/dev/null");
    }
    if (!file_.empty()) check_file();
    if (!arguments.json) return;
    stdout_ = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (stdout_ < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
      throw NotWritten(std::string("cannot write to stdout: ") + std::strerror(errno));
    }
  }
  ~ResultStream() {
    if (stdout_ > STDERR_FILENO) close(stdout_);
  }
  ResultStream(const ResultStream&) = delete;
  ResultStream& operator=(const ResultStream&) = delete;

  void write_line(std::string text) const {
    text += '\n';
    const int to =
        file_.empty() ? stdout_ : open(file_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (to < 0) fail();
    for (std::string_view rest = text; !rest.empty();) {
      const ssize_t written = write(to, rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail();
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
    if (!file_.empty() && close(to) != 0) fail();
  }

 private:
  // Before the run: a result that took an hour should not be lost for a typo in a folder's name.
  void check_file() const {
    const std::filesystem::path path(file_);
    const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
    const bool there = access(file_.c_str(), F_OK) == 0;
    if (std::filesystem::is_directory(path)) throw Usage("-o takes a file, and '" + file_ + "' is a folder");
    if (access(there ? file_.c_str() : folder.c_str(), W_OK) != 0) {
      throw Usage("cannot write to '" + file_ + "': " + std::strerror(errno));
    }
  }

  [[noreturn]] void fail() const {
    throw NotWritten("the result could not be written to " + (file_.empty() ? "stdout" : "'" + file_ + "'") +
                     ": " + std::strerror(errno));
  }

  std::string file_;
  int stdout_ = STDOUT_FILENO;
};

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
  const ResultStream output(arguments);
  const auto start = std::chrono::steady_clock::now();
  std::atexit(end_by_interrupt);
  std::optional<Host> host;
  try {
    Options options = options_from(arguments.host);
    options.interruptible = true;
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
      "Without -m, modules are looked for in ./python_modules, in . if it holds a folder modules,\n"
      "and among the modules that came with pyhost.\n\n"
      "Exit codes: 0 ok; 1 the module raised; 2 usage, bad name or bad state; 3 it could not be loaded;\n"
      "4 its result is not JSON; 70 Python could not start; 74 the result could not be written;\n"
      "130 ended by Ctrl-C, and 128+n by signal n.");
  command->callback([arguments, &code] {
    try {
      code = run(*arguments);
    } catch (const Usage& wrong) {
      std::cerr << "error: " << wrong.what() << "\nhint: see `pyhost run -h`\n";
      code = usage;
    } catch (const NotWritten& failed) {
      std::cerr << "error: " << failed.what() << "\n";
      code = not_written;
    }
  });
}

}  // namespace pyhost::cli
