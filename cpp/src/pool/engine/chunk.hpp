// Runs that are sent to an engine together, and their outcomes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pool/run_queue.hpp"
#include "pyhost/json.hpp"

namespace pyhost::detail {

/// Returns the part of a job that is not its state: the module and the limits of its
/// runs. Jobs of one chunk have the same.
Json order_of(const Job& job);

/// Whether order_of() is the same for both.
bool has_same_order(const Job& one, const Job& other);

/// The states of the jobs, each on a line of its own.
std::string lines_of(const Jobs& jobs);

/// Passes the outcomes of a chunk to its jobs; a job without an outcome fails. Returns the seconds that the
/// chunk took on its worker.
double deliver(Jobs& jobs, std::string_view answer);

}  // namespace pyhost::detail
