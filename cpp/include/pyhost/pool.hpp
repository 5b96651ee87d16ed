// Many runs at once, at a level of isolation.
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

/// What keeps the runs of a pool apart.
enum class Isolation {
  Shared,       ///< Threads over the process's one interpreter: one core, unless Python is free-threaded.
  Interpreter,  ///< Interpreters with a GIL and modules of their own, a thread each; Python 3.13 and later.
                ///< Extensions that work in one interpreter only are an ImportFailed.
  Process,      ///< Worker processes: a module that crashes, hangs or floods costs its own run alone.
};

/// The enumerator's name in lower case, as in "process".
std::string_view to_string(Isolation isolation) noexcept;

/// How a pool is opened. Every member has a default.
struct PoolOptions {
  /// How many runs are made at once; 0 is as many as this process may use cores. More than 1,024 are refused.
  std::size_t workers = 0;

  Isolation isolation = Isolation::Shared;

  /// How long each run may take, from its start, if RunOptions::timeout does not say otherwise. At
  /// Isolation::Process the worker is killed then.
  std::optional<std::chrono::milliseconds> timeout = {};

  /// How long the import of a module may take, if RunOptions::import_timeout does not say otherwise. The
  /// timeout of a run counts from the end of the import. 0: the import counts for the timeout of the run.
  /// Default: the larger of 60 s and the timeout of the run; no limit if the run has no timeout.
  std::optional<std::chrono::milliseconds> import_timeout = {};

  /// Bytes of address space that a worker process may take besides what it has when it is ready; 0 is without
  /// a limit. What goes beyond is a MemoryError in the module. Only at Isolation::Process.
  std::size_t memory_limit = 0;

  /// A worker process is replaced after this many runs; 0 means never. Only at Isolation::Process.
  std::uint64_t max_runs_per_worker = 0;

  /// A worker process is replaced after a run that leaves it with more bytes of memory resident; 0 is never.
  std::size_t max_resident = 0;

  /// The program that a worker process runs; empty is `pyhost-worker` beside this program or where pyhost was
  /// installed. A program that calls worker_main() first thing in its main() may name itself.
  std::filesystem::path worker = {};

  /// Where the runs are made instead of on this machine: `dask://HOST:PORT`,
  /// `ray://HOST:PORT`, or `package.module:factory`, a Python function that returns a
  /// concurrent.futures.Executor. Each worker of the engine needs pyhost of the same version and Python's
  /// same minor version; the modules are sent to it. Then `workers` is not used, and the host's services,
  /// callbacks and store are not reached. A run whose worker is lost is made again, so it may be made twice;
  /// it has one outcome. Default: empty, here.
  std::string engine = {};

  /// The resources of the engine that each chunk of runs needs, by name, as in {"GPU", 1}. Default: none.
  std::map<std::string, double> engine_resources = {};

  /// How often a chunk of runs is tried again if its worker is lost.
  std::size_t engine_retries = 3;

  /// Called with a line for the user, such as "2 workers", when workers of the engine join, leave or are
  /// lost.
  /// Thread: one of the pool's, without the GIL.
  std::function<void(std::string_view)> on_engine = {};
};

namespace detail {

/// Takes the result of a submitted run, for a future.
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

/// Makes many runs at once. Any thread may call it. It uses its host, and should be gone before it: if the
/// host closes first, what is under way fails as HostClosed. A run fails by the same Error at every level;
/// what a service threw that the module did not catch is a ModuleRaised here.
class Pool {
 public:
  /// Throws StartupFailed for what cannot be: a level that this Python does not have, more workers than
  /// 1,024, a limit that the level cannot keep.
  explicit Pool(Host& host, PoolOptions options = {});
  /// Closes it with the patience of Options::shutdown_timeout.
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// Copies the state and submits a run, which does what Host::run() does. The future has the result or the
  /// Error. A state with buffers is an InvalidState.
  /// Throws: HostClosed once the pool is closed.
  template <JsonResultType R = Json>
  std::future<R> submit(std::string_view name, const State& state = {}, RunOptions options = {}) {
    auto promise = std::make_unique<detail::PromiseOf<R>>();
    std::future<R> future = promise->future();
    submit_to(std::move(promise), name, state, std::move(options));
    return future;
  }

  /// Runs a module once for each state of a range, and returns the outcomes as a range. The states are read
  /// lazily. A range of states that is an lvalue must outlive the outcomes.
  template <std::ranges::input_range Range>
    requires std::convertible_to<std::ranges::range_reference_t<Range>, State>
  auto map(std::string_view name, Range&& states, MapOptions options = {}) {
    return Outcomes<std::views::all_t<Range>>(runs(name, std::move(options)),
                                              std::views::all(std::forward<Range>(states)));
  }

  /// Like map(), but you push the states yourself, from any thread.
  Runs runs(std::string_view name, MapOptions options = {});

  /// Cancels all waiting and running runs. Later runs are not affected.
  void cancel();

  /// Cancels the waiting runs only.
  void cancel_waiting();

  /// Accepts no more runs, and waits for those in flight. After `patience` it cancels the rest, and waits for
  /// them; a run that cannot be stopped has no limit, see RunOptions. Returns whether all ended in time.
  bool close(std::chrono::milliseconds patience);

  /// How many runs are made at once.
  std::size_t workers() const noexcept;

 private:
  friend class detail::ClaimsProcess;
  // A pool for the modules and options of these internals, which must outlive it.
  Pool(Host& host, const detail::HostInternals& internals, const PoolOptions& options);
  void submit_to(std::unique_ptr<detail::ResultPromise> promise, std::string_view name, const State& state,
                 RunOptions options);
  std::shared_ptr<detail::PoolData> data_;
};

}  // namespace pyhost
