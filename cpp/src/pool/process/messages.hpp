// What happens in a worker, as JSON on its way to the host that its pool is of.
#pragma once

#include "pyhost/event.hpp"
#include "pyhost/json.hpp"
#include "pyhost/log.hpp"
#include "pyhost/options.hpp"

namespace pyhost::detail {

struct HostInternals;

/// How a worker is to be, besides what its host is like.
struct WorkerLimits {
  std::size_t memory_limit = 0;
  std::size_t max_resident = 0;
};

/// The options of a worker's host and its limits; of callbacks, whether they are wanted.
Json start_message(const HostInternals& host, const WorkerLimits& limits);
Options options_from(const Json& start);
WorkerLimits limits_from(const Json& start);

Json message_of(const LogRecord& record);
LogRecord record_from(const Json& message);

/// The event's error is sent with it.
Json message_of(const Event& event);

/// Tells of an event; its run's number is one of the worker with this number.
void tell_event(const Json& message, std::uint64_t worker, const std::function<void(const Event&)>& on_event);

/// A run's number as all of the pool's processes together have it.
std::uint64_t run_of_worker(std::uint64_t worker, std::uint64_t run) noexcept;

}  // namespace pyhost::detail
