// Files that modules left open, at the end of Python.
#pragma once

namespace pyhost::detail {

/// Closes every file object that is still open, wrappers before the files that they wrap: without a teardown
/// of the interpreter nobody else does, and compressed files and archives are incomplete until they are
/// closed. The standard streams stay open. Failures are written to stderr. The caller holds the GIL.
void close_open_files();

/// The name of the code that closes them, as tracebacks and frames have it.
inline constexpr const char* closing_code_name = "<pyhost: open files>";

}  // namespace pyhost::detail
