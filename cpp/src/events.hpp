// The events of a host, as the application sees them.
#pragma once

#include <functional>

#include "pyhost/event.hpp"
#include "watchers.hpp"

namespace pyhost::detail {

/// Has the function called with what the watchers see, without the GIL.
void tell_events(Watchers& watchers, std::function<void(const Event&)> function);

}  // namespace pyhost::detail
