// Pools, which run modules in parallel.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <utility>

#include "pyhost/error.hpp"
#include "pyhost/host.hpp"
#include "pyhost/runs.hpp"

namespace pyhost {

/// The level of isolation between the runs of a pool.
enum class Isolation {
  Shared,  ///< Threads in one interpreter. They use one core, unless Python is free-threaded.
  /// One interpreter for each worker, with its own GIL and modules. Requires Python 3.13 or later. Extensions
  /// that do not support several interpreters fail with ImportFailed.
  Interpreter,
  /// Worker processes. A module that crashes, hangs or uses too much memory only fails its own run.
  Process,
};

/// Returns the enumerator's name in lower case, as in "process".
std::string_view to_string(Isolation isolation) noexcept;

/// The options of a pool. Every member has a default.
struct PoolOptions {
  /// The number of runs that are executed at the same time, at most 1,024. 0 means the number of cores that
  /// this process may use.
  std::size_t workers = 0;

  /// The level of isolation between runs.
  Isolation isolation = Isolation::Shared;

  /// The timeout of each run, from its start. At Isolation::Process, the worker process is then killed.
  /// RunOptions::timeout takes precedence.
  /// Default: none.
  std::optional<std::chrono::milliseconds> timeout = {};

  /// The timeout of the import of a module. The timeout of a run then starts after the import. 0 means that
  /// the timeout of the run includes the import. RunOptions::import_timeout takes precedence.
  /// Default: 60 s, or the timeout of the run if that is longer. None if the run has no timeout.
  std::optional<std::chrono::milliseconds> import_timeout = {};

  /// The address space that a worker process may use in addition to what it uses after its start. Beyond
  /// that, Python raises MemoryError. 0 means no limit. Only at Isolation::Process.
  /// Units: bytes.
  std::size_t memory_limit = 0;

  /// The number of runs after which a worker process is replaced. 0 means never. Only at Isolation::Process.
  std::uint64_t max_runs_per_worker = 0;

  /// The resident memory above which a worker process is replaced, checked after each run. 0 means never.
  /// Only at Isolation::Process.
  /// Units: bytes.
  std::size_t max_resident = 0;

  /// The program of the worker processes. A program that calls worker_main() first in its main() may name
  /// itself. Only at Isolation::Process.
  /// Default: `pyhost-worker`, next to this program or where pyhost was installed.
  std::filesystem::path worker = {};

  /// The engine that executes the runs on other machines: `dask://HOST:PORT`, `ray://HOST:PORT`, or
  /// `package.module:function`, a Python function that returns a `concurrent.futures.Executor`.
  ///
  /// The modules are sent to the workers of the engine. Each of them must have the same version of pyhost and
  /// the same minor version of Python. `workers` is not used. Services, callbacks and store of the host are
  /// not available to the runs. If a worker is lost, its runs are repeated: a run may be executed twice, but
  /// has one outcome.
  /// Default: empty, for runs on this machine.
  std::string engine = {};

  /// The resources of the engine that each chunk of runs needs, by name, as in `{{"GPU", 1}}`.
  std::map<std::string, double> engine_resources = {};

  /// How often a chunk of runs is repeated if its worker is lost.
  std::size_t engine_retries = 3;

  /// Called with a line for the user, such as "2 workers", when workers of the engine join, leave or are
  /// lost.
  /// Thread: an internal thread of the pool, without the GIL.
  std::function<void(std::string_view)> on_engine = {};
};

namespace detail {

/// Receives the result of a submitted run and passes it to a future.
class ResultPromise {
 public:
  virtual ~ResultPromise() = default;
  virtual bool wants_text() const noexcept = 0;
  virtual void set(std::string text) = 0;
  virtual void set(Json result) = 0;
  virtual void fail(std::exception_ptr error) noexcept = 0;
};

template <JsonResultType R>
class PromiseOf final : public ResultPromise {
 public:
  std::future<R> future() { return promise_.get_future(); }
  bool wants_text() const noexcept override { return std::same_as<R, std::string>; }
  void set(std::string text) override {
    if constexpr (std::same_as<R, std::string>) promise_.set_value(std::move(text));
  }
  void set(Json result) override {
    if constexpr (std::same_as<R, Json>) {
      promise_.set_value(std::move(result));
    } else if constexpr (is_typed<R>) {
      std::optional<R> typed;
      AsTyped(typed).read(result);
      promise_.set_value(*std::move(typed));
    }
  }
  void fail(std::exception_ptr error) noexcept override { promise_.set_exception(std::move(error)); }

 private:
  std::promise<R> promise_;
};

class PoolData;
class ClaimsProcess;
struct HostInternals;

}  // namespace detail

/// Executes runs in parallel. It cannot be copied or moved.
///
/// Runs fail with the same errors at every level of isolation, and with those of Host::run(), with one
/// exception: if a service throws and the module does not catch it, the run fails with ModuleRaised.
///
/// Ownership: destroy the pool before its host. If the host is closed first, runs in flight fail with
/// HostClosed.
/// Thread: any.
class Pool {
 public:
  /// Starts the workers.
  /// Throws: StartupFailed if the options cannot be satisfied, for example because this Python does not
  /// support the level of isolation, or a limit requires Isolation::Process.
  explicit Pool(Host& host, PoolOptions options = {});

  /// Closes the pool as close() does, with Options::shutdown_timeout as the timeout.
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// Submits a run that does the same as Host::run(). The state is copied. The future receives the result or
  /// the Error. States with buffers are not supported: the future receives InvalidState.
  /// Throws: HostClosed if the pool is closed.
  template <JsonResultType R = Json>
  std::future<R> submit(std::string_view name, const State& state = {}, RunOptions options = {}) {
    auto promise = std::make_unique<detail::PromiseOf<R>>();
    std::future<R> future = promise->future();
    submit_to(std::move(promise), name, state, std::move(options));
    return future;
  }

  /// Runs a module once for each state of a range, and returns the outcomes as an input range, Outcomes.
  /// States are read while you iterate over the outcomes.
  /// Ownership: if the range of states is an lvalue, it must outlive the outcomes.
  /// Throws: HostClosed if the pool is closed.
  template <std::ranges::input_range Range>
    requires std::convertible_to<std::ranges::range_reference_t<Range>, State>
  auto map(std::string_view name, Range&& states, MapOptions options = {}) {
    return Outcomes<std::views::all_t<Range>>(runs(name, std::move(options)),
                                              std::views::all(std::forward<Range>(states)));
  }

  /// Like map(), but you push the states yourself, from any thread.
  /// Throws: HostClosed if the pool is closed.
  Runs runs(std::string_view name, MapOptions options = {});

  /// Cancels all runs, waiting and in progress. Runs that are submitted later are not affected.
  void cancel();

  /// Cancels the runs that are waiting for a worker.
  void cancel_waiting();

  /// Closes the pool: accepts no more runs, and waits for those in flight. After `patience`, cancels those
  /// that are left and waits for them. There is no time limit for that, because C code cannot be interrupted:
  /// see RunOptions. Returns whether all runs ended within `patience`.
  bool close(std::chrono::milliseconds patience);

  /// Returns the number of runs that can be executed at the same time.
  std::size_t workers() const noexcept;

 private:
  friend class detail::ClaimsProcess;
  // Creates a pool for the modules and options of `internals`, which must outlive it.
  Pool(Host& host, const detail::HostInternals& internals, const PoolOptions& options);
  void submit_to(std::unique_ptr<detail::ResultPromise> promise, std::string_view name, const State& state,
                 RunOptions options);
  std::shared_ptr<detail::PoolData> data_;
};

}  // namespace pyhost
