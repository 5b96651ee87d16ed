// Pool: checks its options, and puts runs into its queue.
#include "pyhost/pool.hpp"

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "convert/convert.hpp"
#include "error/json_text.hpp"
#include "host/host_internals.hpp"
#include "pool/cores.hpp"
#include "pool/engine/engine_worker.hpp"
#include "pool/interpreters.hpp"
#include "pool/pool_data.hpp"
#include "pool/process/process_worker.hpp"
#include "pool/shared.hpp"
#include "pyhost/json.hpp"
#include "run/module_call.hpp"

namespace pyhost {

namespace detail {

namespace {

[[noreturn]] void refuse(const std::string& message, std::string hint) {
  throw Error(
      {.kind = ErrorKind::StartupFailed, .phase = Phase::Start, .message = message, .hint = std::move(hint)});
}

void check_workers(std::size_t wanted) {
  constexpr std::size_t most = 1024;
  if (wanted <= most) return;
  refuse("a pool can have at most 1,024 workers, not " + std::to_string(wanted),
         "more workers than cores only help runs that wait for something");
}

void check_timeout(std::optional<std::chrono::milliseconds> timeout) {
  if (timeout && timeout->count() < 0)
    refuse("the timeout of a pool is negative", "leave it out to run without a timeout");
}

// Refuses options that are only for worker processes.
void check_limits(const PoolOptions& options) {
  if (options.isolation == Isolation::Process) return;
  const std::array<std::pair<const char*, bool>, 4> given{
      {{"memory_limit", options.memory_limit != 0},
       {"max_runs_per_worker", options.max_runs_per_worker != 0},
       {"max_resident", options.max_resident != 0},
       {"worker", !options.worker.empty()}}};
  for (const auto& [name, is_given] : given) {
    if (!is_given) continue;
    refuse("PoolOptions::" + std::string(name) +
               " needs worker processes, but the isolation of the pool is " +
               std::string(to_string(options.isolation)),
           "set Isolation::Process, or leave it out");
  }
}

std::vector<std::unique_ptr<Worker>> make_workers(Host& host, const MakeHost& make_host,
                                                  const HostInternals& internals,
                                                  const PoolOptions& options) {
  if (!options.engine.empty()) {
    std::vector<std::unique_ptr<Worker>> one;
    one.push_back(make_engine_worker(internals, options));
    return one;
  }
  const std::size_t count = options.workers != 0 ? options.workers : usable_cores();
  if (options.isolation == Isolation::Process) return make_process_workers(internals, options, count);
  std::vector<std::unique_ptr<Worker>> workers;
  workers.reserve(count);
  while (workers.size() < count) {
    workers.push_back(options.isolation == Isolation::Interpreter
                          ? make_interpreter_worker(make_host, internals.options)
                          : make_shared_worker(host, internals.options.callbacks.on_span));
  }
  return workers;
}

// A run whose result is delivered through a future.
class SubmittedJob : public Job {
 public:
  SubmittedJob(const std::shared_ptr<PoolData>& pool, std::unique_ptr<ResultPromise> promise)
      : pool_(*pool), promise_(std::move(promise)) {
    for_json = !promise_->wants_text();
  }

  void succeed(std::string result) noexcept override {
    set([&] { for_json ? promise_->set(parse_json(result)) : promise_->set(std::move(result)); });
  }

  void succeed_as_json(Json result) noexcept override {
    set([&] { promise_->set(std::move(result)); });
  }

  void fail(const Error& error) noexcept override {
    promise_->fail(std::make_exception_ptr(pool_.final_error(error)));
  }

 private:
  template <class Set>
  void set(Set result) noexcept {
    try {
      convert_for_module(module, result);
    } catch (...) {
      promise_->fail(std::current_exception());
    }
  }

  PoolData& pool_;  // outlives its jobs
  std::unique_ptr<ResultPromise> promise_;
};

}  // namespace

}  // namespace detail

std::string_view to_string(Isolation isolation) noexcept {
  constexpr std::array<std::string_view, 3> names{"shared", "interpreter", "process"};
  return names[static_cast<std::size_t>(isolation)];
}

Pool::Pool(Host& host, PoolOptions options) : Pool(host, host.internals(), options) {}

Pool::Pool(Host& host, const detail::HostInternals& internals, const PoolOptions& options) {
  detail::check_workers(options.workers);
  detail::check_timeout(options.timeout);
  detail::check_limits(options);
  const auto make_host = [&host] { return host.in_this_interpreter(); };
  data_ =
      detail::PoolData::of(host.shutdown_hooks(), detail::make_workers(host, make_host, internals, options),
                           {options.timeout, options.import_timeout, host.options().shutdown_timeout,
                            static_cast<bool>(host.options().callbacks.on_span)});
}

Pool::~Pool() { data_->leave(); }

void Pool::submit_to(std::unique_ptr<detail::ResultPromise> promise, std::string_view name,
                     const State& state, RunOptions options) {
  data_->check_open(name);
  auto job = std::make_unique<detail::SubmittedJob>(data_, std::move(promise));
  job->module = name;
  job->options = std::move(options);
  try {
    job->state = detail::convert_for_module(job->module, [&] { return detail::state_text(state); });
  } catch (const Error& refused) {
    return job->fail(refused);
  }
  data_->put(std::move(job));
}

void Pool::cancel() { data_->cancel(); }

void Pool::cancel_waiting() { data_->cancel_waiting(); }

bool Pool::close(std::chrono::milliseconds patience) { return data_->close(patience); }

std::size_t Pool::workers() const noexcept { return data_->width(); }

}  // namespace pyhost
