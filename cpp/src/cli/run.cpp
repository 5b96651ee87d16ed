// pyhost run NAME: runs a module once, with one state, and prints its result.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <optional>
#include <stop_token>
#include <string>
#include <system_error>
#include <utility>

#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/configuration.hpp"
#include "cli/errors.hpp"
#include "cli/exit_code.hpp"
#include "cli/files.hpp"
#include "cli/host_options.hpp"
#include "cli/json_text.hpp"
#include "cli/log_output.hpp"
#include "cli/messages.hpp"
#include "cli/parameters.hpp"
#include "cli/result_stream.hpp"
#include "cli/signals.hpp"
#include "cli/trace.hpp"
#include "pyhost/host.hpp"
#include "pyhost/pool.hpp"

namespace pyhost::cli {

namespace {

// Reserves memory for the whole text at the start if its size is known, so that a large state is not copied.
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
  if (given == "-" || (given.starts_with('@') && names_stdin(given.substr(1)))) {
    require_stdin();
    return read_all(std::cin);
  }
  if (!given.starts_with('@')) return given;
  const std::string file = given.substr(1);
  const bool folder = std::filesystem::is_directory(file);
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  if (folder || !stream) {
    throw UsageError("cannot read the state from '" + file + "': " + std::strerror(folder ? EISDIR : errno));
  }
  std::error_code unknown;  // the size of a pipe or a device
  const std::uintmax_t size = std::filesystem::file_size(file, unknown);
  return read_all(stream, unknown ? 0 : static_cast<std::size_t>(size));
}

std::string given_state(const RunArguments& arguments) {
  if (arguments.state) return *arguments.state;
  const std::string& state = configuration().of(arguments.name).state;
  return state.empty() ? "{}" : state;
}

// Writes the result or the error of the run, in the format that the arguments select.
class Report {
 public:
  Report(const RunArguments& arguments, ResultStream& output) : arguments_(arguments), output_(output) {}

  // Writes the items that the run yields one by one, or with --json as one array.
  void results(Stream<std::string>& stream) {
    std::string array;
    while (const std::optional<std::string> item = stream.next()) {
      if (!stream.yields()) return one_result(*item);
      if (!arguments_.json) output_.write_line(*item);
      if (arguments_.json) array += (array.empty() ? "" : ",") + *item;
    }
    if (arguments_.json) return one_result("[" + array + "]");
    output_.write("");  // creates the file even if there are no items
  }

  void one_result(const std::string& result) {
    if (arguments_.json) return document("result", result);
    if (result != "null" || !arguments_.output.empty()) output_.write_line(result);
  }

  void error(const Error& error) {
    if (!arguments_.json) return print_error(error, arguments_.verbose);
    document("error", error_json(error));
  }

 private:
  void document(const std::string& key, const std::string& value) {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
    output_.write_line(run_document(arguments_.name, key, value, passed.count()));
  }

  const RunArguments& arguments_;
  ResultStream& output_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Calls `report` and ends the process, because a run cannot be cancelled.
void exit_stuck(const std::function<void()>& report) noexcept {
  std::fflush(stdout);
  try {
    report();
  } catch (const std::exception& failed) {
    std::fprintf(stderr, "error: %s\n", failed.what());
  }
  std::fflush(stdout);
  std::fflush(stderr);
  _exit(timed_out);
}

// Also finds a KeyboardInterrupt in an exception group, as trio raises it.
bool is_interrupt(const PythonException& exception) {
  return exception.type == "KeyboardInterrupt" || std::ranges::any_of(exception.members, is_interrupt);
}

// Runs the module in a worker process. The first Ctrl-C cancels the run, and kills the worker if the run does
// not end. The second one ends this process and the worker.
std::string result_in_process(Host& host, const RunArguments& arguments, const std::string& state,
                              const RunOptions& how, std::size_t limit) {
  PoolOptions options{.workers = 1,
                      .isolation = Isolation::Process,
                      .timeout = how.timeout,
                      .import_timeout = std::chrono::milliseconds(0)};
  options.memory_limit = limit;
  std::stop_source stop;
  const Signals signals({.signals = {SIGINT}, .on_signal = [&stop](int) { stop.request_stop(); }});
  Pool pool(host, options);
  return pool.submit<std::string>(arguments.name, state, {.stop = stop.get_token()}).get();
}

}  // namespace

int run(const RunArguments& arguments) {
  const bool in_process = arguments.isolation == "process";
  if (!arguments.memory_limit.empty() && !in_process)
    throw UsageError("--memory-limit needs --isolation process");
  const std::size_t limit = memory_limit(arguments.memory_limit);
  const std::string state =
      add_members(state_text(given_state(arguments)), json_members(arguments.parameters));
  RunOptions how;
  how.timeout = run_timeout(arguments.name, arguments.timeout);
  refuse_trace_over_output(arguments.output, arguments.trace);
  ResultStream output(arguments.output, {.takes_stdout = arguments.json});
  Trace trace(arguments.trace, "pyhost run " + arguments.name, Trace::Writing::Immediate);
  Report report(arguments, output);
  how.on_stuck = [&report](const Error& error) { exit_stuck([&] { report.error(error); }); };
  prepare_end_by_signal();
  CloseErrors close_errors;
  std::optional<Host> host;
  try {
    Options options = host_options(arguments.host);
    options.python.interruptible = !in_process;
    options.callbacks.on_stuck = [&](const Error& error) {  // called while the host closes, after the result
      exit_stuck([&] { print_error(error, arguments.verbose); });
    };
    close_errors.listen_to(options);
    close_errors.begin();
    log_to_stderr(options, arguments.log);
    trace.listen_to(options);
    host.emplace(std::move(options));
    trace.add_start();
    print_environment(host->environment(), arguments.verbose, arguments.quiet);
    if (in_process) {
      report.one_result(result_in_process(*host, arguments, state, how, limit));
    } else {
      Stream stream = host->stream<std::string>(arguments.name, state, how);
      report.results(stream);
    }
    output.end();
    print_dropped_logs(*host);
    host.reset();
    trace.end();
    return close_errors.print(nullptr, arguments.verbose) ? module_raised : ok;
  } catch (const Error& error) {
    if (host) print_dropped_logs(*host);  // log records come before the error
    report.error(error);
    const bool raised = host && host->interrupted() && is_interrupt(error.exception());
    host.reset();
    trace.end();
    close_errors.print(&error, arguments.verbose);
    if (raised || error.kind() == ErrorKind::Cancelled) end_by_signal(SIGINT);
    return exit_code(error);
  }
}

}  // namespace pyhost::cli
