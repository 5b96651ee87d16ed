// pyhost run NAME: one module, one state, one result.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <optional>
#include <sstream>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "cli/command.hpp"
#include "cli/configuration.hpp"
#include "cli/errors.hpp"
#include "cli/parameters.hpp"
#include "cli/result_stream.hpp"
#include "cli/signals.hpp"
#include "cli/trace.hpp"
#include "pyhost/pyhost.hpp"

namespace pyhost::cli {

namespace {

struct Arguments {
  std::string name;
  std::optional<std::string> state;
  std::vector<std::string> parameters;
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

// A large state is held once: room for all of it is made at the start where its size is known.
std::string read_all(std::istream& stream, std::size_t expected = 0) {
  std::string text;
  std::size_t size = 0;
  do {
    text.resize(std::max(size + size / 2, expected + 1));
    stream.read(text.data() + size, static_cast<std::streamsize>(text.size() - size));
    size += static_cast<std::size_t>(stream.gcount());
    expected = size + 65536;
  } while (stream);
  text.resize(size);
  return text;
}

std::string state_text(const std::string& given) {
  if (given == "-") return read_all(std::cin);
  if (!given.starts_with('@')) return given;
  const std::string file = given.substr(1);
  const bool folder = std::filesystem::is_directory(file);
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  if (folder || !stream) {
    throw UsageError("cannot read the state from '" + file + "': " + std::strerror(folder ? EISDIR : errno));
  }
  std::error_code unknown;  // as of a pipe or a device
  const std::uintmax_t size = std::filesystem::file_size(file, unknown);
  return read_all(stream, unknown ? 0 : static_cast<std::size_t>(size));
}

std::string given_state(const Arguments& arguments) {
  if (arguments.state) return *arguments.state;
  const std::string& state = configuration().of(arguments.name).state;
  return state.empty() ? "{}" : state;
}

std::string seconds_since(std::chrono::steady_clock::time_point start) {
  return seconds_text(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

// What one run came to, told as the arguments want it.
class Report {
 public:
  Report(const Arguments& arguments, ResultStream& output) : arguments_(arguments), output_(output) {}

  // What a run yields is told item by item; as one document it is an array.
  void results(Stream& stream) {
    std::string array;
    while (const std::optional<std::string> item = stream.next_text()) {
      if (!stream.yields()) return one_result(*item);
      if (!arguments_.json) output_.write_line(*item);
      if (arguments_.json) array += (array.empty() ? "" : ",") + *item;
    }
    if (arguments_.json) return one_result("[" + array + "]");
    output_.write("");  // a file without a line, too, is a result
  }

  // The result of a run in a process of its own; what that has yielded is an array.
  void one_result(const std::string& result) {
    if (arguments_.json) return document("result", result);
    if (result != "null" || !arguments_.output.empty()) output_.write_line(result);
  }

  void error(const Error& error) {
    if (!arguments_.json) return print(error, arguments_.verbose);
    document("error", error.to_json().dump(-1, ' ', false, Json::error_handler_t::replace));
  }

 private:
  void document(const std::string& key, const std::string& value) {
    const std::string name = Json(arguments_.name).dump(-1, ' ', false, Json::error_handler_t::replace);
    output_.write_line("{\"name\":" + name + ",\"" + key + "\":" + value +
                       ",\"seconds\":" + seconds_since(start_) + "}");
  }

  const Arguments& arguments_;
  ResultStream& output_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// What cannot be stopped ends with the process, once it has been told.
void leave_stuck(const std::function<void()>& tell) noexcept {
  std::fflush(stdout);
  try {
    tell();
  } catch (const std::exception& failed) {
    std::fprintf(stderr, "error: %s\n", failed.what());
  }
  std::fflush(stdout);
  std::fflush(stderr);
  _exit(timed_out);
}

// One run in a worker process of its own. Ctrl-C stops it as the host would, and kills it if it goes on all
// the same; once more ends this process, and the worker with it.
std::string result_in_process(Host& host, const Arguments& arguments, const std::string& state,
                              const RunOptions& how, std::size_t memory_limit) {
  PoolOptions options{.workers = 1, .isolation = Isolation::Process, .timeout = how.timeout};
  options.memory_limit = memory_limit;
  std::stop_source stop;
  const Signals signals({.which = {SIGINT}, .heed = [&stop](int) { stop.request_stop(); }});
  Pool pool(host, options);
  return pool.submit_text(arguments.name, state, {.stop = stop.get_token()}).get();
}

int run(const Arguments& arguments) {
  const bool in_process = arguments.isolation == "process";
  if (!arguments.memory_limit.empty() && !in_process)
    throw UsageError("--memory-limit is for --isolation process");
  const std::size_t memory_limit = memory_limit_of(arguments.memory_limit);
  const std::string state =
      with_members(state_text(given_state(arguments)), members_of(arguments.parameters));
  RunOptions how;
  how.timeout = timeout_of(arguments.name, arguments.timeout);
  keep_results(arguments.output, arguments.trace);
  ResultStream output(arguments.output, arguments.json);
  Trace trace(arguments.trace, "pyhost run " + arguments.name, Trace::Writing::AtOnce);
  Report report(arguments, output);
  how.on_stuck = [&report](const Error& error) { leave_stuck([&] { report.error(error); }); };
  prepare_end_by_signal();
  CloseErrors close_errors;
  std::optional<Host> host;
  try {
    Options options = options_from(arguments.host);
    options.interruptible = !in_process;
    options.on_stuck = [&](const Error& error) {  // once the result is out
      leave_stuck([&] { print(error, arguments.verbose); });
    };
    close_errors.listen_to(options);
    close_errors.begin();
    set_log(options, arguments.log);
    trace.listen_to(options);
    host.emplace(std::move(options));
    trace.add_start();
    say_environment(host->environment(), arguments.verbose, arguments.quiet);
    if (in_process) {
      report.one_result(result_in_process(*host, arguments, state, how, memory_limit));
    } else {
      Stream stream = host->stream(arguments.name, state, how);
      report.results(stream);
    }
    say_dropped_logs(*host);
    host.reset();
    trace.end();
    return close_errors.print(nullptr, arguments.verbose) ? module_raised : ok;
  } catch (const Error& error) {
    if (host) say_dropped_logs(*host);  // what led to it stands before it
    report.error(error);
    const bool raised = host && host->interrupted() && error.exception().type == "KeyboardInterrupt";
    host.reset();
    trace.end();
    close_errors.print(&error, arguments.verbose);
    if (raised || error.kind() == ErrorKind::Cancelled) end_by_signal(SIGINT);
    return error.signal() != 0 ? 128 + error.signal() : exit_code(error.kind());
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
  add_parameters(*command, arguments->parameters, "the state");
  add_host_arguments(*command, arguments->host);
  add_log_arguments(*command, arguments->log);
  command->add_option("-o,--output", arguments->output, "Write the result to this file")
      ->envname("PYHOST_OUTPUT");
  command
      ->add_option("--timeout", arguments->timeout,
                   "Stop the run after this time, as in 30s, 500ms, 2m, 1h; exit code 124")
      ->envname("PYHOST_TIMEOUT");
  command
      ->add_option(
          "--isolation", arguments->isolation,
          "host: in this process. process: in a worker process, which is killed at the timeout and may "
          "crash alone")
      ->envname("PYHOST_ISOLATION")
      ->check(CLI::IsMember({"host", "process"}));
  command
      ->add_option("--memory-limit", arguments->memory_limit,
                   "With --isolation process: so much memory the run may take, as in 512M, 2G")
      ->envname("PYHOST_MEMORY_LIMIT");
  add_trace_argument(*command, arguments->trace);
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
      "4 its result is not JSON; 70 Python could not start; 74 the result or trace could not be written;\n"
      "124 timed out; 130 ended by Ctrl-C, and 128+n by signal n.\n\n"
      "What run() yields is printed item by item, a line each; with --json or --isolation process as one "
      "array at\nthe end.");
  command->callback([arguments, &code] { code = exit_code_of("run", [&] { return run(*arguments); }); });
}

}  // namespace pyhost::cli
