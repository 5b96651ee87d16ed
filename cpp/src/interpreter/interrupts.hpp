// SIGINT and the other signals that Python handles after its start.
#pragma once

#include "python/python.hpp"

namespace pyhost::detail {

/// Returns the signals to the application after the start of Python. With `interruptible`, SIGINT raises
/// KeyboardInterrupt in a module, unless the application handles it. The caller holds the GIL.
void settle_signals(bool interruptible);

/// Records every SIGINT from now on, whichever function of Python handles it: asyncio and trio have their
/// own. Must be called after each change of the handler. Does nothing unless `interruptible` was set.
void note_interrupts() noexcept;

/// Returns whether Python has handled a SIGINT.
bool was_interrupted() noexcept;

}  // namespace pyhost::detail
