// The signal that wakes Python's main thread from a wait in C code, so that a cancelled run ends there.
#pragma once

#include "run/current_run.hpp"

namespace pyhost::detail {

/// Adds the function that handles the signal to `_pyhost`. The caller holds the GIL.
void add_wakeup_function();

/// Installs the signal's handler if this is Python's main thread and the application does not use the signal.
/// Does nothing the second time. The caller holds the GIL.
void enable_wakeup_signal(CurrentRun::Thread& thread = CurrentRun::this_thread());

/// Returns whether the signal wakes this thread and Python still handles it. Needs no GIL.
bool has_wakeup_signal(const CurrentRun::Thread& thread);

/// Returns whether the signal raises pyhost.Stopped in this thread. The caller holds the GIL.
bool raises_stopped(const CurrentRun::Thread& thread);

/// Sends the signal to the thread. Needs no GIL.
void send_wakeup_signal(CurrentRun::Thread& thread) noexcept;

}  // namespace pyhost::detail
