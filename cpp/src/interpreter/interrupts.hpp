// SIGINT and the other signals that Python takes at its start.
#pragma once

#include "python/python.hpp"

namespace pyhost::detail {

/// Makes the signals the application's own again after the start of Python. With `interruptible`, SIGINT
/// raises KeyboardInterrupt in a module, unless the application uses it. The caller holds the GIL.
void settle_signals(bool interruptible);

/// Notes a SIGINT from now on, whichever function of Python's handles it: asyncio and trio have their own.
/// Must be called after each change of its handler. Does nothing unless SIGINT is to raise KeyboardInterrupt.
void note_interrupts() noexcept;

/// Returns whether there was a SIGINT that Python handled.
bool was_interrupted() noexcept;

}  // namespace pyhost::detail
