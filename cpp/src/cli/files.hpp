// Files, descriptors and the standard streams.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace pyhost::cli {

/// Opens /dev/null in place of each closed standard descriptor, and sets the others to blocking mode. Call it
/// first in main().
void open_standard_streams();

/// Throws: UsageError if stdin was closed at the start.
void require_stdin();

/// Throws: OutputError if stdout was closed at the start.
void require_stdout();

/// Returns whether a path of the command line names stdin: -, /dev/stdin or /dev/fd/0.
bool names_stdin(const std::string& file);

/// Returns whether a path of the command line names stdout: -, /dev/stdout or /dev/fd/1.
bool names_stdout(const std::string& file);

/// Duplicates stdin to a new descriptor, replaces stdin by /dev/null, and returns the new descriptor.
/// Otherwise child processes of modules would read the same input. Throws: UsageError if that fails.
int take_stdin();

/// Returns the current folder at the time of the first call. main() calls it before any module, which could
/// change the current folder.
const std::filesystem::path& start_folder();

/// Returns the path, which is relative to start_folder(), as an absolute path. An empty path stays empty.
std::filesystem::path absolute_path(const std::string& file);

/// Throws: UsageError if the file cannot be written, as far as that is known without opening it. The message
/// names `option`.
void check_writable(const std::string& file, const std::string& option);

/// Writes all of the text, in one write() if possible. Also waits for a descriptor in non-blocking mode. On
/// failure, returns false and sets errno.
bool write_all(int descriptor, std::string_view text) noexcept;

}  // namespace pyhost::cli
