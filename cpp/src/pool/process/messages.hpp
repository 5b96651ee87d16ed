// Options and events as JSON, between a worker process and the host of its pool.
#pragma once

#include <chrono>
#include <cstdint>

#include "pyhost/event.hpp"
#include "pyhost/json.hpp"
#include "pyhost/options.hpp"

namespace pyhost::detail {

struct HostInternals;

/// Converts a time for another process: nanoseconds since the epoch of its clock.
template <class Clock>
std::int64_t nanoseconds_of(std::chrono::time_point<Clock> time) noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

template <class Clock>
std::chrono::time_point<Clock> time_of(std::int64_t nanoseconds) noexcept {
  const std::chrono::nanoseconds since_epoch(nanoseconds);
  return std::chrono::time_point<Clock>(std::chrono::duration_cast<typename Clock::duration>(since_epoch));
}

/// The limits of a worker process.
struct WorkerLimits {
  std::size_t memory_limit = 0;
  std::size_t max_resident = 0;
  /// The number of threads that OpenMP and OpenBLAS may start, unless the user has set another one.
  std::size_t library_threads = 0;
};

/// Returns the options of a worker's host, and its limits. For callbacks, it contains only whether they are
/// set.
Json start_message(const HostInternals& host, const WorkerLimits& limits);
Options options_from(const Json& start);
WorkerLimits limits_from(const Json& start);

/// Converts the event and its error to JSON.
Json message_of(const Event& event);

/// Calls on_event with an event from the worker process with this number.
void forward_event(const Json& message, std::uint64_t worker,
                   const std::function<void(const Event&)>& on_event);

/// Makes a run's id in one worker process unique among all worker processes.
std::uint64_t run_of_worker(std::uint64_t worker, std::uint64_t run) noexcept;

}  // namespace pyhost::detail
