// The process's one CPython: how it starts, how it flushes, how it ends.
#pragma once

#include <filesystem>

namespace pyhost::detail {

/// Starts CPython by a PyConfig of our own unless it runs already, lets the GIL go, and sees to its end
/// with the process. Throws StartupFailed; what can be known is checked before the start, because a
/// failed start cannot be repeated in the same process.
void start_interpreter();

/// The folder of pyhost's own Python files: beside the program, in the source tree if the program was
/// built there, or where pyhost was installed. Empty if it is nowhere.
std::filesystem::path python_modules();

/// Flushes sys.stdout and sys.stderr. The caller holds the GIL.
void flush_output() noexcept;

}  // namespace pyhost::detail
