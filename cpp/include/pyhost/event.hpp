// What happens to modules and their runs, as plain data.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "pyhost/error.hpp"

namespace pyhost {

/// Tells a run from all others of the process; from 1. What an import or a create does outside of
/// Host::run has a number of its own.
using RunId = std::uint64_t;

enum class EventKind {
  Found,       ///< A module path has the module, and its import begins.
  Imported,    ///< It is imported, and its on_load() has been called.
  Created,     ///< Its create() has returned.
  RunStarted,  ///< Its run() is about to be called.
  RunEnded,    ///< There is a result.
  Failed,      ///< One of the steps failed: `error->phase()` says which.
  Closed,      ///< An instance has been closed; only of those that have something to close.
  Unloaded,    ///< The module is forgotten, and its on_unload() has been called.
};

/// The enumerator's name, as in "RunStarted".
std::string_view to_string(EventKind kind) noexcept;

/// Valid during the callback.
struct Event {
  EventKind kind;
  std::string_view module;
  RunId run;                                    ///< 0 if it is in none.
  std::chrono::system_clock::time_point start;  ///< When the step began that this is the end of.
  std::chrono::duration<double> seconds;        ///< How long it took.
  const Error* error;                           ///< Of Failed; otherwise null.
};

}  // namespace pyhost
