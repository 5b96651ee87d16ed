// Closes files that modules left open when Python ends.
#pragma once

namespace pyhost::detail {

/// Closes every file object that is still open, wrappers before the files that they wrap. pyhost does not
/// tear down the interpreter, so nothing else closes them, and compressed files and archives are incomplete
/// until they are closed. The standard streams stay open. Failures are written to stderr. The caller holds
/// the GIL.
void close_open_files();

/// Exempts the objects that exist now from all garbage collections, and remembers the open files among them
/// for close_open_files(). Called when Python has started: its own objects live until the end, and each
/// collection would look at all of them. Cycles of objects that .pth files and `sitecustomize` made are not
/// collected either. The caller holds the GIL.
void freeze_objects();

/// The file name of the closing code in tracebacks and frames.
inline constexpr const char* closing_code_name = "<pyhost: open files>";

}  // namespace pyhost::detail
