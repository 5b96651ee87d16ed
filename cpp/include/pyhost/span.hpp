// Durations of the steps of runs, as plain data.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "pyhost/event.hpp"

namespace pyhost {

/// The steps of a run, or of a worker.
enum class SpanKind {
  Start,   ///< Starting a worker process, until its host is open.
  Queue,   ///< Waiting in a pool, until a worker begins the run.
  Send,    ///< Sending runs to a worker process.
  Import,  ///< Finding and importing a module, and calling its `on_load()`.
  Create,  ///< Converting a state, and calling `create()`.
  Run,     ///< Calling `run()`, converting the result, and closing the instance if it is closed with the run.
  Convert,  ///< Converting a state, within Create, or a result, within Run.
};

/// Returns the enumerator's name in lower case, as in "queue".
std::string_view to_string(SpanKind kind) noexcept;

/// The duration of one step of a run, for Callbacks::on_span. Except for Queue and Send, the spans of one
/// worker are nested, and so are the spans without a worker that are reported on the same thread.
struct Span {
  SpanKind kind = SpanKind::Run;  ///< The step.
  std::string module = {};        ///< The module. For Send, that of the first run; for Start, empty.
  RunId run = 0;                  ///< The run, or 0 if it has not begun.
  std::uint64_t submission = 0;   ///< The number of the run in its pool, from 1 in order of submission, or 0.
  std::uint64_t worker = 0;       ///< The number of the worker, from 1 and unique among all pools, or 0.
  std::chrono::steady_clock::time_point begin = {};  ///< The beginning. All processes use the same clock.
  std::chrono::steady_clock::time_point end = {};    ///< The end.
  std::size_t runs = 0;                              ///< The number of runs that were sent, for Send.
  bool failed = false;                               ///< Whether the step failed.
};

}  // namespace pyhost
