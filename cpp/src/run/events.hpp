// The events of a host, as the application sees them.
#pragma once

#include <chrono>
#include <functional>
#include <string_view>

#include "pyhost/event.hpp"
#include "run/observers.hpp"

namespace pyhost::detail {

/// Has the function called with what the observers see, without the GIL.
void forward_events(Observers& observers, std::function<void(const Event&)> function);

/// Of what has just come to its end, and began then.
Event event_of(EventKind kind, std::string_view module, RunId run,
               std::chrono::steady_clock::time_point begun, const Error* error);

/// Calls the function, which does no harm to what it watches: what it throws is dropped.
void tell(const std::function<void(const Event&)>& function, const Event& event) noexcept;

}  // namespace pyhost::detail
