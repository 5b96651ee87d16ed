// The Python side of a cancellation: pyhost.Stopped, and the functions behind pyhost.cancelled.
#pragma once

#include "python/python.hpp"

namespace pyhost::detail {

/// Adds Stopped, `is_set` and `wait` to `_pyhost`. The caller holds the GIL.
void add_cancelled_functions();

/// Returns pyhost.Stopped, or KeyboardInterrupt if a module has removed it. The caller holds the GIL.
py::object stopped_type();

/// Wakes the threads that wait in pyhost.cancelled.wait(), after a cancellation was requested. Needs no GIL.
void wake_cancelled_waiters() noexcept;

}  // namespace pyhost::detail
