// The order is followed by states, in the format of a file of states. Outcomes have the format of a file of
// results.
#include "cli/coprocess.hpp"

#include <poll.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/coprocess_order.hpp"
#include "cli/errors.hpp"
#include "cli/exit_code.hpp"
#include "cli/host_options.hpp"
#include "cli/json_text.hpp"
#include "cli/log_output.hpp"
#include "cli/parameters.hpp"
#include "cli/result_stream.hpp"
#include "cli/results.hpp"
#include "cli/signals.hpp"
#include "cli/states.hpp"
#include "error/system_limits.hpp"
#include "pyhost/host.hpp"
#include "pyhost/json.hpp"
#include "pyhost/pool.hpp"

namespace pyhost::cli {

namespace {

using namespace std::chrono_literals;

// Returns whether the other end of the pipe is closed. Then the runs in flight, which may never end, are not
// worth waiting for.
bool is_without_reader(int descriptor) {
  pollfd output{.fd = descriptor, .events = 0, .revents = 0};
  return poll(&output, 1, 0) == 1 && (output.revents & POLLERR) != 0;
}

class Coprocess {
 public:
  Coprocess(const MapArguments& arguments, const MapOptions& options, const Signals& signals, States& states,
            ResultStream& output, Pool& pool, std::string code)
      : module_(arguments.name),
        members_(json_members(arguments.parameters)),
        signals_(signals),
        states_(states),
        output_(output),
        pool_(pool),
        runs_(pool.runs(module_, options)),
        code_(std::move(code)) {}

  /// Runs the states until stdin ends. Throws: Error if the module cannot be loaded, UsageError if the states
  /// cannot be read, OutputError.
  void run() {
    std::thread reader = detail::start_thread([this] { read(); });
    try {
      write();
    } catch (...) {
      failure_ = std::current_exception();
      states_.stop();
      pool_.close(0ms);  // also wakes a reader that waits for room
    }
    reader.join();
    if (failure_) std::rethrow_exception(failure_);
    if (read_failure_) std::rethrow_exception(read_failure_);
  }

 private:
  void read() noexcept {
    try {
      while (signals_.count() == 0) {  // after a signal, states that were read ahead are dropped
        std::optional<StateText> state = states_.next();
        if (!state) break;
        state->text = add_members(std::move(state->text), members_);
        const std::size_t index = state->index - 1;  // the order has index 0
        {
          const std::lock_guard lock(mutex_);
          in_flight_.emplace(index, StateId{index, state->line, state_hash(module_, state->text)});
        }
        runs_.put(state->text);
      }
    } catch (...) {
      read_failure_ = std::current_exception();
    }
    runs_.end();
  }

  void write() {
    std::string lines;
    for (bool over = false; !over;) {
      std::optional<Outcome> outcome = runs_.next_within(0ms);
      if (!outcome) {
        if (!lines.empty()) output_.write(std::exchange(lines, {}));
        outcome = runs_.next_within(100ms);
        over = !outcome && runs_.is_over();
        if (!outcome && has_runs() && is_without_reader(output_.descriptor()))
          throw OutputError("cannot write to stdout: its reader has closed it");
      }
      if (outcome) append(lines, *outcome);
      // Repeatedly, because the reader may submit one more state after the signal.
      if (signals_.count() == 1) pool_.cancel_waiting();
      if (signals_.count() > 1) pool_.cancel();
    }
  }

  bool has_runs() {
    const std::lock_guard lock(mutex_);
    return !in_flight_.empty();
  }

  // Throws if the module cannot be loaded. Once it was loaded, a failed import fails only its state.
  void append(std::string& lines, const Outcome& outcome) {
    if (!outcome.ok() && outcome.error->kind() == ErrorKind::Cancelled) return;
    const bool is_load_error = !outcome.ok() && outcome.error->phase() <= Phase::Import;
    if (is_load_error && !was_loaded_) throw Error(*outcome.error);
    was_loaded_ = was_loaded_ || !is_load_error;
    const std::unique_lock lock(mutex_);
    const StateId state = in_flight_.extract(outcome.index).mapped();
    append_result_line(lines, state, code_, outcome);
  }

  const std::string module_;
  const std::string members_;  // added to each state
  const Signals& signals_;
  States& states_;
  ResultStream& output_;
  Pool& pool_;
  Runs runs_;
  const std::string code_;
  std::mutex mutex_;
  std::unordered_map<std::size_t, StateId> in_flight_;
  std::exception_ptr read_failure_, failure_;
  bool was_loaded_ = false;
};

std::string minor_version(const std::string& version) { return version.substr(0, version.rfind('.')); }

void run_order(const MapArguments& given, const Signals& signals, States& states, ResultStream& output) {
  states.expect_lines();
  const std::optional<StateText> first = states.next();
  if (!first && signals.count() > 0) return;
  if (!first) throw UsageError("stdin ended before the order");
  const Order order = parse_order(first->text, given);
  const PoolOptions pool_options = pool_options_of(order.arguments);
  MapOptions map_options = map_options_of(order.arguments);
  if (order.is_without_timeout) map_options.run.timeout.reset();
  Options options = host_options(order.arguments.host);
  log_to_stderr(options, order.arguments.log);
  Host host(std::move(options));
  const std::string code = host.code_hash();
  output.write_line(Json{
      {"hello",
       {{"pyhost", PYHOST_VERSION}, {"python", minor_version(host.environment().version)}, {"code", code}}}}
                        .dump());
  Pool pool(host, pool_options);
  output.write_line(R"({"ready":true})");
  Coprocess(order.arguments, map_options, signals, states, output, pool, code).run();
}

int fail(ResultStream& output, const Error& error, int code) {
  output.write_line("{\"failed\":" + error_json(error) + "}");
  return code;
}

}  // namespace

int coprocess(const MapArguments& arguments) {
  States states("-");
  ResultStream output({}, {.takes_stdout = true});
  prepare_end_by_signal();
  const Signals signals(
      {.signals = {SIGINT, SIGTERM}, .max_count = 2, .on_signal = [&states](int) { states.stop(); }});
  try {
    run_order(arguments, signals, states, output);
    if (signals.count() > 0) end_by_signal(signals.last());
    return ok;
  } catch (const Error& error) {
    return fail(output, error, exit_code_of_load(error));
  } catch (const UsageError& error) {
    return fail(output,
                Error({.kind = ErrorKind::InvalidEngine, .phase = Phase::Start, .message = error.what()}),
                usage);
  }
}

}  // namespace pyhost::cli
