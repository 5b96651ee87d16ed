// Many runs at once, at a level of isolation.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <ranges>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "pyhost/error.hpp"
#include "pyhost/host.hpp"
#include "pyhost/json.hpp"
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

  /// Each run is to stop when it has taken so long, from when it begins. At Isolation::Process the worker is
  /// then killed; elsewhere it is stopped as RunOptions says.
  std::optional<std::chrono::milliseconds> timeout = {};

  /// Bytes of address space that a worker process may take besides what it has when it is ready; 0 is without
  /// a limit. What goes beyond is a MemoryError in the module. Only at Isolation::Process.
  std::size_t memory_limit = 0;

  /// A worker process is replaced after so many runs; 0 is never. Only at Isolation::Process.
  std::uint64_t max_runs_per_worker = 0;

  /// A worker process is replaced after a run that leaves it with more bytes of memory resident; 0 is never.
  std::size_t max_resident = 0;

  /// The program that a worker process runs; empty is `pyhost-worker` beside this program or where pyhost was
  /// installed. A program that calls worker_main() first thing in its main() may name itself.
  std::filesystem::path worker = {};
};

/// How one run of a pool is made. Every member has a default.
struct Submission {
  std::optional<std::chrono::milliseconds> timeout = {};  ///< In the place of the pool's.
  std::stop_token stop = {};  ///< The run is not begun, or is stopped, when this says so: Cancelled.
};

namespace detail {
class PoolData;
}

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

  /// Loads, creates, runs and closes, as Host::run does; the future has the result or the Error. Throws
  /// HostClosed once the pool is closed.
  std::future<Json> submit(std::string_view name, const Json& state = {}, Submission how = {});
  template <JsonText T>
  std::future<Json> submit(std::string_view name, const T& state, Submission how = {}) {
    return submit_from_text(name, state, std::move(how));
  }

  /// The same with the result as JSON text.
  std::future<std::string> submit_text(std::string_view name, const Json& state = {}, Submission how = {});
  template <JsonText T>
  std::future<std::string> submit_text(std::string_view name, const T& state, Submission how = {}) {
    return submit_text_from_text(name, state, std::move(how));
  }

  /// Runs a module once for each state of a range, which is read lazily, and gives the outcomes as a range.
  /// It must not outlive the range of states if that is an lvalue.
  template <std::ranges::input_range Range>
    requires State<std::ranges::range_reference_t<Range>>
  auto map(std::string_view name, Range&& states, MapOptions options = {}) {
    return Outcomes<std::views::all_t<Range>>(runs(name, std::move(options)),
                                              std::views::all(std::forward<Range>(states)));
  }

  /// The same for who puts the states in by hand, perhaps on another thread.
  Runs runs(std::string_view name, MapOptions options = {});

  /// All that waits and all that runs ends as Cancelled; what comes later is run.
  void cancel();

  /// The same for what waits alone: what runs goes on.
  void cancel_waiting();

  /// Takes no more, and waits for what is under way; what is not over in time is cancelled. Returns when all
  /// is over, and says whether that was in time: a run that cannot be stopped is waited for (see RunOptions).
  bool close(std::chrono::milliseconds patience);

  /// How many runs are made at once.
  std::size_t workers() const noexcept;

 private:
  std::future<Json> submit_from_text(std::string_view name, std::string_view state, Submission how);
  std::future<std::string> submit_text_from_text(std::string_view name, std::string_view state,
                                                 Submission how);
  std::shared_ptr<detail::PoolData> data_;
};

}  // namespace pyhost
