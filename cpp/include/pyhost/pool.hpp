// Many runs at once, at a level of isolation.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "pyhost/error.hpp"
#include "pyhost/host.hpp"
#include "pyhost/json.hpp"

namespace pyhost {

/// What keeps the runs of a pool apart.
enum class Isolation {
  Shared,       ///< Threads over the process's one interpreter: one core, unless Python is free-threaded.
  Interpreter,  ///< Interpreters with a GIL and modules of their own, a thread each; Python 3.13 and later.
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

  /// Bytes of address space that a worker process may have; 0 is without a limit. Only at Isolation::Process.
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

}  // namespace pyhost
