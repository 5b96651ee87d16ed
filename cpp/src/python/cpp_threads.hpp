// Registers C++ threads in Python's `threading`.
#pragma once

#include "python/python.hpp"

namespace pyhost::detail {

/// Makes `main_thread` the main thread of `threading`. Does nothing on that thread, if `threading` was
/// imported already, and on Python 3.13 and later. The caller holds the GIL.
void correct_main_thread(unsigned long main_thread) noexcept;

/// Registers the current thread, if C++ started it. Threads that it starts are then not daemons, so the
/// shutdown waits for them. Functions set with threading.settrace() and setprofile() apply to it. Imports
/// `threading`. The caller holds the GIL of the main interpreter.
void register_cpp_thread() noexcept;

/// Removes the current thread, which is ending, from `threading`. The caller holds the GIL.
void forget_cpp_thread() noexcept;

}  // namespace pyhost::detail
