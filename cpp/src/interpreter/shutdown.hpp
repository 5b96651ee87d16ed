// Ends Python with the process, within a timeout: joins threads, runs atexit handlers and flushes output.
#pragma once

#include <chrono>
#include <functional>

namespace pyhost::detail {

/// Ends an interpreter that we started, once: in pyhost::shut_down() or when the process exits.
void shut_down_with_process();

/// If Python is ended by the exit of the process, makes that happen before any static or thread_local object
/// that exists now is destroyed. For thread_local objects, this holds only for those of the main thread, and
/// only if this is the main thread.
void move_shutdown_to_front();

/// Calls move_shutdown_to_front() if a shared object was loaded since the last call.
void move_shutdown_before_loaded();

/// Sets the function that the shutdown calls first, without the GIL. Blocks while the previous one is being
/// called.
void set_before_shutdown(std::function<void()> call);

/// Makes Py_Finalize(), if the application calls it, refuse further access to Python. The caller holds the
/// GIL.
void observe_finalization();

/// Sets the timeout of the shutdown.
void set_shutdown_timeout(std::chrono::milliseconds timeout) noexcept;

}  // namespace pyhost::detail
