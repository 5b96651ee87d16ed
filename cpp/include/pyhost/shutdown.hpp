// Ends Python at the end of main().
#pragma once

namespace pyhost {

/// Ends the Python that a host has started: waits for the threads that modules left behind, calls their
/// atexit handlers, flushes what they printed, and closes the files that they left open. All that may take
/// Options::shutdown_timeout. Then whatever still runs is named on stderr, and the process ends with
/// `exit_code`.
///
/// Call it at the end of main(), after the last Host is closed. Static and thread_local objects of extension
/// modules still exist there. Without this call, Python ends while the process exits, just before the objects
/// that existed when the last Host was closed are destroyed.
/// Afterwards no host can be opened, and every call of one throws HostClosed. The second call does nothing.
/// A Python that runs already and was joined is left alone.
/// Thread: any, but the main one is best.
void shut_down(int exit_code = 0) noexcept;

}  // namespace pyhost
