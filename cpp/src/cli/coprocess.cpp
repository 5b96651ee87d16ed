// The states that follow the order are the lines of a file of states, and the outcomes are those of a file of
// results.
#include "cli/coprocess.hpp"

#include <chrono>
#include <cmath>
#include <cstddef>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/errors.hpp"
#include "cli/exit_code.hpp"
#include "cli/host_options.hpp"
#include "cli/json_text.hpp"
#include "cli/parameters.hpp"
#include "cli/result_stream.hpp"
#include "cli/results.hpp"
#include "cli/states.hpp"
#include "error/json_text.hpp"
#include "error/system_limits.hpp"
#include "pyhost/host.hpp"
#include "pyhost/json.hpp"
#include "pyhost/pool.hpp"

namespace pyhost::cli {

namespace {

using namespace std::chrono_literals;

struct Order {
  std::string module;
  std::vector<std::string> module_paths = {};
  std::string members = {};  // added to each state
  PoolOptions pool = {.isolation = Isolation::Process};
  MapOptions map = {};
};

Isolation isolation_of(const std::string& name) {
  if (const auto isolation = parse_isolation(name)) return *isolation;
  throw UsageError("the order's isolation must be process, interpreter or shared, and is '" + name + "'");
}

std::optional<std::chrono::milliseconds> time_of_order(const Json& seconds) {
  if (seconds.is_null()) return std::nullopt;
  return std::chrono::milliseconds(std::llround(seconds.get<double>() * 1000));
}

Order parse_order(const std::string& text) {
  Order order;
  const std::map<std::string, std::function<void(const Json&)>> keys{
      {"module", [&](const Json& value) { order.module = value.get<std::string>(); }},
      {"module_paths", [&](const Json& value) { value.get_to(order.module_paths); }},
      {"parameters",
       [&](const Json& value) { order.members = json_members(value.get<std::vector<std::string>>()); }},
      {"workers", [&](const Json& value) { value.get_to(order.pool.workers); }},
      {"isolation",
       [&](const Json& value) { order.pool.isolation = isolation_of(value.get<std::string>()); }},
      {"timeout", [&](const Json& value) { order.pool.timeout = time_of_order(value); }},
      {"import_timeout", [&](const Json& value) { order.pool.import_timeout = time_of_order(value); }},
      {"memory_limit", [&](const Json& value) { value.get_to(order.pool.memory_limit); }},
      {"max_runs_per_worker", [&](const Json& value) { value.get_to(order.pool.max_runs_per_worker); }},
      {"max_resident", [&](const Json& value) { value.get_to(order.pool.max_resident); }},
      {"retries", [&](const Json& value) { value.get_to(order.map.retries); }},
  };
  try {
    const Json json = detail::parse_json(text);
    for (const auto& [key, value] : json.get<std::map<std::string, Json>>()) {
      const auto found = keys.find(key);
      if (found == keys.end()) throw UsageError("the order has a key that is not known: '" + key + "'");
      found->second(value);
    }
  } catch (const Json::exception& wrong) {
    throw UsageError(std::string("the first line must be an order, a JSON object: ") + wrong.what());
  }
  if (order.module.empty()) throw UsageError("the order names no module");
  return order;
}

class Coprocess {
 public:
  Coprocess(const Order& order, States& states, ResultStream& output, Pool& pool, std::string code)
      : order_(order),
        states_(states),
        output_(output),
        pool_(pool),
        runs_(pool.runs(order.module, order.map)),
        code_(std::move(code)) {}

  /// Throws: the Error of a module that cannot be loaded; UsageError if the states cannot be read; OutputError.
  void run() {
    std::thread reader = detail::start_thread([this] { read(); });
    try {
      write();
    } catch (...) {
      failure_ = std::current_exception();
      states_.stop();
      pool_.close(0ms);  // ends a reader that waits for room, too
    }
    reader.join();
    if (failure_) std::rethrow_exception(failure_);
    if (read_failure_) std::rethrow_exception(read_failure_);
  }

 private:
  void read() noexcept {
    try {
      while (std::optional<StateText> state = states_.next()) {
        state->text = add_members(std::move(state->text), order_.members);
        const std::size_t index = state->index - 1;  // the order was the first line
        {
          const std::lock_guard lock(mutex_);
          in_flight_.emplace(index, StateId{index, state->line, state_hash(order_.module, state->text)});
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
        outcome = runs_.next_within(1s);
        over = !outcome && runs_.is_over();
      }
      if (outcome) append(lines, *outcome);
    }
  }

  // Where the module was loaded before, a failed import costs its state alone.
  void append(std::string& lines, const Outcome& outcome) {
    const bool is_load_error = !outcome.ok() && outcome.error->phase() <= Phase::Import;
    if (is_load_error && !was_loaded_) throw Error(*outcome.error);
    was_loaded_ = was_loaded_ || !is_load_error;
    const std::unique_lock lock(mutex_);
    const StateId state = in_flight_.extract(outcome.index).mapped();
    append_result_line(lines, state, code_, outcome);
  }

  const Order& order_;
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

void run_order(States& states, ResultStream& output) {
  states.expect_lines();
  const std::optional<StateText> first = states.next();
  if (!first) throw UsageError("stdin ended before the order");
  const Order order = parse_order(first->text);
  HostArguments arguments;
  arguments.module_paths = order.module_paths;
  Host host(host_options(arguments));
  const std::string code = host.code_hash();
  output.write_line(Json{
      {"hello",
       {{"pyhost", PYHOST_VERSION}, {"python", minor_version(host.environment().version)}, {"code", code}}}}
                        .dump());
  Pool pool(host, order.pool);
  output.write_line(R"({"ready":true})");
  Coprocess(order, states, output, pool, code).run();
}

int fail(ResultStream& output, const Error& error, int code) {
  output.write_line("{\"failed\":" + error_json(error) + "}");
  return code;
}

}  // namespace

int coprocess() {
  States states("-");
  ResultStream output({}, {.takes_stdout = true});
  try {
    run_order(states, output);
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
