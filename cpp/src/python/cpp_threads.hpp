// What Python's `threading` should know of the threads that C++ has started.
#pragma once

#include "python/python.hpp"

namespace pyhost::detail {

/// Corrects what `threading` takes for the main thread, which is `main_thread`. Does nothing on that thread,
/// the second time, and where Python knows it itself. The caller holds the GIL.
void correct_main_thread(unsigned long main_thread) noexcept;

/// Registers the current thread, if C++ has started it: threads that are started from it are no daemons, so
/// they are waited for at the end, and it is traced and profiled as threading.settrace() and setprofile()
/// say. Imports `threading`. The caller holds the GIL of the main interpreter.
void register_cpp_thread() noexcept;

/// Makes `threading` forget the current thread, which ends. The caller holds the GIL.
void forget_cpp_thread() noexcept;

}  // namespace pyhost::detail
