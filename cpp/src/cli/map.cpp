// pyhost map NAME: one module over many states. One thread reads states and puts them into a pool, the main
// one writes what comes of them.
#include <unistd.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cli/command.hpp"
#include "cli/errors.hpp"
#include "cli/parameters.hpp"
#include "cli/progress.hpp"
#include "cli/result_stream.hpp"
#include "cli/results.hpp"
#include "cli/shard.hpp"
#include "cli/signals.hpp"
#include "cli/states.hpp"
#include "cli/trace.hpp"
#include "pyhost/pyhost.hpp"

namespace pyhost::cli {

namespace {

using namespace std::chrono_literals;

struct Arguments {
  std::string name;
  std::string states;
  std::vector<std::string> parameters;
  std::size_t workers = 0;
  std::string isolation = "process";
  std::string timeout;
  std::string memory_limit;
  std::size_t retries = 0;
  std::string output;
  std::string shard;
  std::string trace;
  HostArguments host;
  LogArguments log;
  bool ordered = false;
  bool keep_going = false;
  bool resume = false;
  bool verbose = false;
  bool quiet = false;
};

const std::map<std::string, Isolation> levels{
    {"shared", Isolation::Shared}, {"interpreter", Isolation::Interpreter}, {"process", Isolation::Process}};

// The module could not even be loaded: all other states would fail by the same error.
bool is_of_module(const Error& error) {
  return error.phase() == Phase::Start || error.phase() == Phase::Find || error.phase() == Phase::Import;
}

bool is_file_of(const std::string& file, std::string module) {
  std::ranges::replace(module, '.', '/');
  return file.ends_with("/modules/" + module + ".py") ||
         file.ends_with("/modules/" + module + "/__init__.py");
}

// The same, where it took its worker process along: the module's own top level was under way.
bool crashed_in_import(const Error& error) {
  return error.kind() == ErrorKind::WorkerCrashed &&
         std::ranges::any_of(error.exception().frames, [&](const Frame& frame) {
           return frame.function == "<module>" && is_file_of(frame.file, error.module());
         });
}

// The line of the states is told with it, and the first line of the state itself would be taken for another.
Error without_line(const Error& error) {
  constexpr std::string_view line = "line 1, ";
  std::string message = error.message();
  const std::size_t at = message.find(line);
  if (error.kind() != ErrorKind::InvalidState || at == std::string::npos) return error;
  message.erase(at, line.size());
  return Error({.kind = error.kind(),
                .phase = error.phase(),
                .module = error.module(),
                .message = std::move(message),
                .pointer = error.pointer(),
                .hint = error.hint()});
}

// What stands at the end of a call that did not come to its own end; it is said once.
class WayOn {
 public:
  WayOn(const Arguments& arguments, Progress& progress) : arguments_(arguments), progress_(progress) {}

  void say() {
    if (said_.exchange(true)) return;
    progress_.say(arguments_.output.empty()
                      ? "hint: with -o FILE, the same command can go on later with --resume"
                      : "hint: the same command with --resume goes on from " + arguments_.output);
  }

 private:
  const Arguments& arguments_;
  Progress& progress_;
  std::atomic<bool> said_ = false;
};

// The first signal ends it gently, and the second at once.
SignalsTaken signals_taken(Progress& progress, WayOn& way_on) {
  return {.which = {SIGINT, SIGTERM},
          .most = 2,
          .heed =
              [&progress](int number) {
                if (number > 1) return;
                progress.say(
                    "pyhost: ending: the runs that have begun are finished; once more ends them at once");
              },
          .last_words = [&way_on] { way_on.say(); }};
}

// What a mapping needs and does not make.
struct Surroundings {
  States& states;
  ResultStream& output;
  Progress& progress;
  WayOn& way_on;
  const Signals& signals;
  CloseErrors& close_errors;
};

class Mapping {
 public:
  Mapping(const Arguments& arguments, const Surroundings& around, Host& host, Pool& pool,
          const MapOptions& how)
      : arguments_(arguments),
        members_(members_of(arguments.parameters)),
        states_(around.states),
        output_(around.output),
        progress_(around.progress),
        way_on_(around.way_on),
        signals_(around.signals),
        close_errors_(around.close_errors),
        host_(host),
        pool_(pool),
        runs_(pool.runs(arguments.name, how)),
        shard_(shard_from(arguments.shard)),
        earlier_(arguments.resume ? Results(arguments.output) : Results()) {}

  int run() {
    progress_.begin();
    std::thread reader([this] { read(); });
    write();
    reader.join();
    progress_.erase();
    return end();
  }

 private:
  enum class Stopping { No, Gently, AtOnce };

  // --- on the thread that reads

  void read() noexcept {
    try {
      while (std::optional<StateText> state = states_.next()) {
        state->text = with_members(std::move(state->text), members_);
        put(*state);
      }
    } catch (...) {
      reading_failed_ = std::current_exception();
    }
    runs_.end();
  }

  void put(const StateText& state) {
    if (!shard_.has(state.index)) return;
    const StateMark mark{state.index, state.line, hash_of(arguments_.name, state.text)};
    if (earlier_.has(mark.index, mark.hash)) {
      ++skipped_;
      return;
    }
    {
      const std::lock_guard lock(mutex_);
      under_way_.emplace(put_++, mark);
    }
    runs_.put(state.text);
  }

  // --- on the main thread

  void write() {
    bool over = false;
    while (!over) {
      std::optional<Outcome> outcome = runs_.next_within(0ms);
      if (!outcome) {
        flush();
        outcome = runs_.next_within(100ms);
        over = !outcome && runs_.is_over();
      }
      if (outcome) take(*outcome);
      heed_signals();
      go_on_stopping();
      if (stopping_ != Stopping::AtOnce) progress_.show({done_, failed_, part()});
    }
    flush();
  }

  void take(const Outcome& outcome) {
    const StateMark state = mark_of(outcome.index);
    if (outcome.error && outcome.error->kind() == ErrorKind::Cancelled) return;
    if (outcome.error && (is_of_module(*outcome.error) || crashed_in_import(*outcome.error))) {
      if (!not_loaded_) not_loaded_ = outcome.error;
      return stop(Stopping::AtOnce);
    }
    ++done_;
    if (!outcome.ok()) take_failed(state, *outcome.error);
    lines_ += line_of(state, outcome);
    constexpr std::size_t many = 1 << 16;
    if (lines_.size() >= many) flush();
  }

  void take_failed(const StateMark& state, const Error& error) {
    ++failed_;
    if (arguments_.keep_going || failed_ > 1) return;
    progress_.erase();
    std::cerr << "state " << state.index << " (line " << state.line << " of the states):\n";
    print(without_line(error), arguments_.verbose);
    stop(Stopping::Gently);
  }

  StateMark mark_of(std::size_t put) {
    const std::lock_guard lock(mutex_);
    return under_way_.extract(put).mapped();
  }

  void flush() {
    if (lines_.empty()) return;
    const std::string lines = std::exchange(lines_, {});
    if (not_written_) return;
    try {
      output_.write(lines);
    } catch (const OutputError&) {
      not_written_ = std::current_exception();
      stop(Stopping::AtOnce);
    }
  }

  void heed_signals() {
    if (const int seen = signals_.count()) stop(seen == 1 ? Stopping::Gently : Stopping::AtOnce);
  }

  void stop(Stopping how) {
    if (how <= stopping_) return;
    stopping_ = how;
    states_.stop();
  }

  // Again and again, since the reader may have had one more state in its hand.
  void go_on_stopping() {
    if (stopping_ == Stopping::Gently) pool_.cancel_waiting();
    if (stopping_ == Stopping::AtOnce) pool_.cancel();
  }

  // Those that have been read and are not done count as not read.
  std::optional<double> part() {
    const std::optional<double> read = states_.part_read();
    const std::lock_guard lock(mutex_);
    if (!read || put_ == 0) return std::nullopt;
    return *read * static_cast<double>(done_) / static_cast<double>(put_);
  }

  int end() {
    // What workers log until they end stands before the sum.
    const std::chrono::duration<double> patience(arguments_.host.shutdown_timeout);
    close_errors_.begin();
    pool_.close(std::chrono::round<std::chrono::milliseconds>(patience));
    say_dropped_logs(host_);
    if (not_written_) {
      way_on_.say();
      std::rethrow_exception(not_written_);
    }
    const int code = say_failure();
    if (done_ == 0 && (not_loaded_ || reading_failed_)) return code;
    if (stopping_ != Stopping::No || reading_failed_) {
      way_on_.say();
    } else {
      output_.write("");  // no results, too, are a result
    }
    say_sum();
    if (signals_.count() > 0) end_by_signal(signals_.last());
    return code;
  }

  // What ended it, if that was no state, and the exit code.
  int say_failure() const {
    if (not_loaded_) {
      print(*not_loaded_, arguments_.verbose);
      if (is_of_module(*not_loaded_)) return exit_code(not_loaded_->kind());
      std::cerr << "hint: it crashes while it is imported, whatever the state\n";
      return not_loaded;
    }
    if (reading_failed_)
      return exit_code_of("map", [this]() -> int { std::rethrow_exception(reading_failed_); });
    return failed_ > 0 ? module_raised : ok;
  }

  // The count of those that failed stands in the last line, whatever else there is to say.
  void say_sum() const {
    if (arguments_.quiet && failed_ == 0) return;
    std::string sum = failed_ > 0 ? std::to_string(failed_) + " of " + counted(done_, "state") + " failed"
                                  : counted(done_, "state") + " done";
    if (skipped_ > 0) sum += ", " + std::to_string(skipped_) + " were done before";
    std::fprintf(stderr, "%s%s in %.1f s\n", failed_ > 0 ? "error: " : "pyhost: ", sum.c_str(),
                 progress_.seconds());
  }

  const Arguments& arguments_;
  const std::string members_;  // that are added to each state
  States& states_;
  ResultStream& output_;
  Progress& progress_;
  WayOn& way_on_;
  const Signals& signals_;
  CloseErrors& close_errors_;
  Host& host_;
  Pool& pool_;
  Runs runs_;
  Shard shard_;
  Results earlier_;

  std::mutex mutex_;
  std::unordered_map<std::size_t, StateMark> under_way_;  // by the number of their put
  std::size_t put_ = 0;
  std::atomic<std::size_t> skipped_ = 0;
  std::exception_ptr reading_failed_;

  std::string lines_;
  std::size_t done_ = 0;
  std::size_t failed_ = 0;
  Stopping stopping_ = Stopping::No;
  std::optional<Error> not_loaded_;
  std::exception_ptr not_written_;
};

// Else the results would be written over the states, or be read as such.
void keep_states(const States& states, const Arguments& arguments) {
  for (const auto& [option, file] :
       {std::pair("-o", arguments.output), std::pair("--trace", arguments.trace)}) {
    if (!file.empty() && states.are_in(file))
      throw UsageError(std::string(option) + " names the file of the states, '" + file +
                       "': it would be lost");
  }
  if (arguments.output.empty() && states.are_in(STDOUT_FILENO))
    throw UsageError("stdout is the file of the states: write the results to another one");
}

int map(const Arguments& arguments) {
  if (arguments.resume && arguments.output.empty())
    throw UsageError("--resume goes on from the file that -o names");
  MapOptions how{.ordered = arguments.ordered, .retries = arguments.retries};
  how.timeout = timeout_of(arguments.name, arguments.timeout);
  PoolOptions size{.workers = arguments.workers, .isolation = levels.at(arguments.isolation)};
  size.memory_limit = memory_limit_of(arguments.memory_limit);
  if (size.memory_limit != 0 && size.isolation != Isolation::Process)
    throw UsageError("--memory-limit is for --isolation process");
  shard_from(arguments.shard);
  members_of(arguments.parameters);
  States states(arguments.states);
  keep_states(states, arguments);
  keep_results(arguments.output, arguments.trace);
  ResultStream output(arguments.output, arguments.output.empty(), arguments.resume);
  Trace trace(arguments.trace, "pyhost map " + arguments.name, Trace::Writing::Together);
  prepare_end_by_signal();
  std::signal(SIGPIPE, SIG_IGN);
  Progress progress(arguments.quiet);
  WayOn way_on(arguments, progress);
  const Signals signals(signals_taken(progress, way_on));
  Options options = options_from(arguments.host);
  CloseErrors close_errors;
  close_errors.listen_to(options);
  set_log(options, arguments.log);
  trace.listen_to(options);
  int code = ok;
  {
    Host host(std::move(options));
    trace.add_start();
    say_environment(host.environment(), arguments.verbose, arguments.quiet);
    Pool pool(host, size);
    code =
        Mapping(arguments, {states, output, progress, way_on, signals, close_errors}, host, pool, how).run();
  }
  trace.end();  // once all have told what there was to tell
  return close_errors.print(nullptr, arguments.verbose) && code == ok ? module_raised : code;
}

constexpr const char* examples =
    "Runs a module once for each of many states, several at once.\n\n"
    "Examples:\n"
    "  pyhost map price --states trades.jsonl -o prices.jsonl\n"
    "  pyhost map price --states trades.jsonl -o prices.jsonl --resume\n"
    "  generate | pyhost map price --states - -j 8 --timeout 30s --keep-going > prices.jsonl\n";

}  // namespace

void add_map(CLI::App& program, int& code) {
  CLI::App* command = program.add_subcommand("map", examples);
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("NAME", arguments->name, "The module's name, as in modules/NAME.py")->required();
  command
      ->add_option("--states", arguments->states, "A file of JSON lines, or of one JSON array; - for stdin")
      ->required()
      ->envname("PYHOST_STATES");
  add_parameters(*command, arguments->parameters, "each state");
  command->add_option("-j,--jobs", arguments->workers, "How many run at once; else one for each core")
      ->check(CLI::Range(1, 1024))
      ->envname("PYHOST_JOBS");
  command
      ->add_option("--isolation", arguments->isolation,
                   "What keeps runs apart: process, interpreter (Python 3.13), shared (threads)")
      ->check(CLI::IsMember({"process", "interpreter", "shared"}))
      ->capture_default_str()
      ->envname("PYHOST_ISOLATION");
  command->add_option("--timeout", arguments->timeout, "Stop a run after this time, as in 30s, 500ms, 2m, 1h")
      ->envname("PYHOST_TIMEOUT");
  command
      ->add_option("--memory-limit", arguments->memory_limit,
                   "Memory that each worker process may have, as in 512M, 2G")
      ->envname("PYHOST_MEMORY_LIMIT");
  command
      ->add_option("--retries", arguments->retries,
                   "Make a run again, so many times, that timed out or whose worker crashed (0)")
      ->check(CLI::Range(0, 1000))
      ->envname("PYHOST_RETRIES");
  command
      ->add_option("-o,--output", arguments->output,
                   "Write the results to this file, in the place of what it has")
      ->envname("PYHOST_OUTPUT");
  command->add_flag("--ordered", arguments->ordered,
                    "Write results in the order of the states, not as they come");
  command->add_flag("--keep-going", arguments->keep_going, "Go on after a state that failed");
  command->add_flag("--resume", arguments->resume,
                    "Go on from what -o has: states that have a result there are not run again");
  command
      ->add_option(
          "--shard", arguments->shard,
          "Run a part: i/n, as in 1/4 for the first of four; auto asks Slurm or Kubernetes. Each part "
          "needs an -o of its own")
      ->envname("PYHOST_SHARD");
  add_trace_argument(*command, arguments->trace);
  add_host_arguments(*command, arguments->host);
  add_log_arguments(*command, arguments->log);
  command
      ->add_flag("-v,--verbose", arguments->verbose, "Say what Python it runs on, and tell an error in full")
      ->envname("PYHOST_VERBOSE");
  command->add_flag("-q,--quiet", arguments->quiet, "Show no progress, and print no warnings")
      ->envname("PYHOST_QUIET");
  command->footer(
      std::string(module_paths_footer) +
      "Each state has a line of JSON: index, status (ok, failed, invalid, timed_out, crashed), hash, "
      "seconds,\n"
      "result or error. What modules print goes to stderr, or with -o to stdout.\n\n"
      "Exit codes: 0 ok; 1 a state failed; 2 usage, or the states cannot be read; 3 the module could not be\n"
      "loaded; 70 Python could not start; 74 the results or the trace could not be written; 130 ended by "
      "Ctrl-C.");
  command->callback([arguments, &code] { code = exit_code_of("map", [&] { return map(*arguments); }); });
}

}  // namespace pyhost::cli
