// The events of a host, as the application sees them.
#pragma once

#include <chrono>
#include <functional>
#include <string_view>

#include "pyhost/event.hpp"
#include "run/observers.hpp"

namespace pyhost::detail {

/// Calls the function, without the GIL, for each event that the observers are notified of.
void forward_events(Observers& observers, std::function<void(const Event&)> function);

/// Returns the event of a step that began at `begun` and has just ended.
Event event_of(EventKind kind, std::string_view module, RunId run,
               std::chrono::steady_clock::time_point begun, const Error* error);

/// Calls the function. Exceptions from it are ignored.
void call_on_event(const std::function<void(const Event&)>& function, const Event& event) noexcept;

}  // namespace pyhost::detail
