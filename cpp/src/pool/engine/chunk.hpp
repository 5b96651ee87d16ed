// Runs that are sent to an engine together, and their outcomes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pool/run_queue.hpp"
#include "pyhost/json.hpp"

namespace pyhost::detail {

/// Returns the order of a job: its module and timeouts, without its state. All jobs of a chunk have the same
/// order.
Json order_of(const Job& job);

/// Returns whether both jobs can be in one chunk: they have the same order, and the same stop token.
bool can_share_chunk(const Job& one, const Job& other);

/// Returns the states of the jobs, one per line.
std::string lines_of(const Jobs& jobs);

/// Passes the outcomes of a chunk to its jobs. Jobs without an outcome fail. Returns the seconds that the
/// chunk took on its worker.
double deliver(Jobs& jobs, std::string_view answer);

}  // namespace pyhost::detail
