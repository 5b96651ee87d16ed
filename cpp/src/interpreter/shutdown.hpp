// The end of Python with the process: threads joined, atexit handlers run, output flushed, within a deadline.
#pragma once

#include <chrono>

namespace pyhost::detail {

/// Sees to the end of an interpreter that we started: with the process, once.
void shut_down_with_process();

/// Sees to the end of an interpreter that somebody else started: when it is finalized, nothing of ours enters
/// any more. The caller holds the GIL.
void shut_down_with_python();

/// How long the end may take.
void set_shutdown_timeout(std::chrono::milliseconds timeout) noexcept;

}  // namespace pyhost::detail
