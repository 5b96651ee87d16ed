// The end of Python with the process: threads joined, atexit handlers run, output flushed, within a deadline.
#pragma once

#include <chrono>
#include <functional>

namespace pyhost::detail {

/// Sees to the end of an interpreter that we started: once, by pyhost::shut_down() or with the process.
void shut_down_with_process();

/// Where the process ends Python by itself, makes it do so before it destroys any static or thread_local
/// object that exists by now. Of the thread_local objects that holds for those of the main thread, if this is
/// that thread.
void move_shutdown_to_front();

/// Calls move_shutdown_to_front() if a shared object was loaded since the last call.
void move_shutdown_before_loaded();

/// Sets what the end of Python calls first, without the GIL. Waits while that is being called.
void set_before_shutdown(std::function<void()> call);

/// Refuses access to Python once the application calls Py_Finalize(). The caller holds the GIL.
void observe_finalization();

/// How long the end may take.
void set_shutdown_timeout(std::chrono::milliseconds timeout) noexcept;

}  // namespace pyhost::detail
