// pyhost map NAME: runs a module once for each of many states.
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/coprocess.hpp"
#include "cli/errors.hpp"
#include "cli/exit_code.hpp"
#include "cli/files.hpp"
#include "cli/host_options.hpp"
#include "cli/log_output.hpp"
#include "cli/mapping.hpp"
#include "cli/messages.hpp"
#include "cli/parameters.hpp"
#include "cli/progress.hpp"
#include "cli/result_stream.hpp"
#include "cli/shard.hpp"
#include "cli/signals.hpp"
#include "cli/states.hpp"
#include "cli/trace.hpp"
#include "error/number_text.hpp"
#include "pyhost/host.hpp"
#include "pyhost/pool.hpp"

namespace pyhost::cli {

namespace {

// The first signal stops the mapping after the runs in flight. The second one cancels them.
SignalOptions signal_options(Progress& progress, ResumeHint& resume_hint) {
  return {.signals = {SIGINT, SIGTERM},
          .max_count = 2,
          .on_signal =
              [&progress](int number) {
                if (number > 1) return;
                progress.print_line(
                    "pyhost: stopping after the runs in flight; press Ctrl-C again to cancel them");
              },
          .before_exit = [&resume_hint] { resume_hint.print(); }};
}

// Throws: UsageError if the results or the trace would be written to the file of the states.
void refuse_to_overwrite_states(const States& states, const MapArguments& arguments) {
  for (const auto& [option, file] :
       {std::pair("-o", arguments.output), std::pair("--trace", arguments.trace)}) {
    if (!file.empty() && states.are_in(file))
      throw UsageError(std::string(option) + " and --states name the same file, '" + file +
                       "': the states would be lost");
  }
  if ((arguments.output.empty() || names_stdout(arguments.output)) && states.are_in(STDOUT_FILENO))
    throw UsageError("stdout is the file of the states: write the results to another file");
}

// Throws: UsageError.
void set_engine(PoolOptions& options, const MapArguments& arguments) {
  options.engine = arguments.engine;
  options.engine_retries = arguments.engine_retries;
  for (const std::string& resource : arguments.engine_resources) {
    const std::size_t at = resource.find('=');
    const auto number = at != std::string::npos
                            ? detail::parse_number(std::string_view(resource).substr(at + 1))
                            : std::nullopt;
    if (!number || at == 0)
      throw UsageError("--engine-resources must be name=number, as in GPU=1, not '" + resource + "'");
    options.engine_resources.emplace(resource.substr(0, at), *number);
  }
  if (options.engine.empty()) {
    if (!options.engine_resources.empty()) throw UsageError("--engine-resources needs --engine");
    return;
  }
  if (!arguments.host.store.empty())
    throw UsageError("--store cannot be used with --engine, because its workers would not share the file");
  if (arguments.workers != 0)
    throw UsageError("-j cannot be used with --engine, which runs as many states at once as its workers can");
}

}  // namespace

int map(const MapArguments& arguments) {
  if (arguments.coprocess) return coprocess(arguments);
  const bool to_stdout = arguments.output.empty() || names_stdout(arguments.output);
  if (arguments.resume && to_stdout) throw UsageError("--resume needs -o FILE, the file to continue");
  if (arguments.trace_runs != 0 && arguments.trace.empty()) throw UsageError("--trace-runs needs --trace");
  if (arguments.redo_changed && !arguments.resume) throw UsageError("--redo-changed needs --resume");
  const MapOptions map_options = map_options_of(arguments);
  PoolOptions pool_options = pool_options_of(arguments);
  set_engine(pool_options, arguments);
  // Called only for their errors, which must be reported before any file is opened.
  parse_shard(arguments.shard);
  json_members(arguments.parameters);
  States states(arguments.states);
  refuse_to_overwrite_states(states, arguments);
  refuse_trace_over_output(arguments.output, arguments.trace);
  ResultStream output(arguments.output,
                      {.takes_stdout = to_stdout, .appends = arguments.resume, .locks = true});
  Trace trace(arguments.trace, "pyhost map " + arguments.name, Trace::Writing::Buffered,
              arguments.trace_runs);
  prepare_end_by_signal();
  std::signal(SIGPIPE, SIG_IGN);
  Progress progress(arguments.quiet);
  ResumeHint resume_hint(arguments.output, output, progress);
  const Signals signals(signal_options(progress, resume_hint));
  if (!arguments.quiet)
    pool_options.on_engine = [&](std::string_view line) {
      progress.print_line("pyhost: " + std::string(line));
    };
  Options options = host_options(arguments.host);
  if (!arguments.engine.empty()) options.store.clear();  // the engine's workers would not share it
  CloseErrors close_errors;
  close_errors.listen_to(options);
  log_to_stderr(options, arguments.log, &progress.line());
  progress.listen_to(options);
  trace.listen_to(options);
  int code = ok;
  {
    Host host(std::move(options));
    trace.add_start();
    print_environment(host.environment(), arguments.verbose, arguments.quiet);
    Pool pool(host, pool_options);
    code = run_mapping({arguments, states, output, progress, resume_hint, signals, close_errors, host, pool},
                       map_options);
  }
  output.end();
  trace.end();  // after the host, which reports the last spans while it closes
  return close_errors.print(nullptr, arguments.verbose) && code == ok ? module_raised : code;
}

}  // namespace pyhost::cli
