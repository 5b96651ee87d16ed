// Where the time of runs goes, as plain data.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "pyhost/event.hpp"

namespace pyhost {

enum class SpanKind {
  Start,    ///< A worker process started, until its host was open.
  Queue,    ///< A run waited in its pool, until a worker began it.
  Send,     ///< Runs were written to a worker process.
  Import,   ///< A module was found and imported, and its on_load() called.
  Create,   ///< A state was converted, and create() called.
  Run,      ///< run() was called, its result converted, and what was to be closed closed.
  Convert,  ///< The state was converted, within Create, or the result, within Run.
};

/// The enumerator's name in lower case, as in "queue".
std::string_view to_string(SpanKind kind) noexcept;

/// A stretch of time, and its use. The spans of one worker nest, except those of Queue and Send. So do spans
/// without a worker that are reported on the same thread. All processes have the same steady clock.
struct Span {
  SpanKind kind = SpanKind::Run;
  std::string module = {};       ///< Of Send that of the first run; of Start none.
  RunId run = 0;                 ///< As events and log records have it; 0 if it has not begun.
  std::uint64_t submission = 0;  ///< Which run of its pool, from 1 as they came; 0 of none.
  std::uint64_t worker = 0;      ///< Tells the workers of all pools apart, from 1; 0 of none.
  std::chrono::steady_clock::time_point begin = {};
  std::chrono::steady_clock::time_point end = {};
  std::size_t runs = 0;  ///< Of Send: how many.
  bool failed = false;   ///< It ended by an error.
};

}  // namespace pyhost
