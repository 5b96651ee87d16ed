// Events of modules and their runs, as plain data.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "pyhost/error.hpp"

namespace pyhost {

/// The number of a run, from 1. It is unique in the process. A load or create outside of Host::run() has a
/// number of its own.
using RunId = std::uint64_t;

/// The kinds of events.
enum class EventKind {
  Found,       ///< The module was found in a module path. Its import begins.
  Imported,    ///< The module was imported, and its `on_load()` called.
  Created,     ///< `create()` has returned.
  RunStarted,  ///< `run()` is about to be called.
  RunEnded,    ///< The run has a result.
  Failed,      ///< A step failed. `error->phase()` is the step.
  Closed,      ///< An instance was closed. Only for instances that have `close()` or `__exit__`.
  Unloaded,    ///< The module was unloaded, and its `on_unload()` called.
};

/// Returns the enumerator's name, as in "RunStarted".
std::string_view to_string(EventKind kind) noexcept;

/// An event of a module or a run, for Callbacks::on_event.
/// Ownership: valid only during the callback.
struct Event {
  EventKind kind;                               ///< The kind of the event.
  std::string_view module;                      ///< The name of the module.
  RunId run;                                    ///< The run to which it belongs, or 0.
  std::chrono::system_clock::time_point start;  ///< When the step began.
  std::chrono::duration<double> seconds;        ///< The time since `start`.
  const Error* error;                           ///< The error, for Failed. Otherwise null.
};

}  // namespace pyhost
