// Files, descriptors and the standard streams.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace pyhost::cli {

/// Opens /dev/null in the place of each standard descriptor that is closed, and lets the others wait instead
/// of failing. Call it first in main().
void open_standard_streams();

/// Throws: UsageError if stdin was closed at the start.
void require_stdin();

/// Throws: OutputError if stdout was closed at the start.
void require_stdout();

/// Returns whether a path of the command line names stdin: -, /dev/stdin or /dev/fd/0.
bool names_stdin(const std::string& file);

/// The same for stdout.
bool names_stdout(const std::string& file);

/// Returns a descriptor of its own for stdin, whose place /dev/null takes: child processes of modules would
/// read from it, too. Throws: UsageError if that fails.
int take_stdin();

/// Returns the current folder as it was at the first call, which main() makes: modules may change it.
const std::filesystem::path& start_folder();

/// Returns the file that a path of the command line names. An empty path stays empty.
std::filesystem::path absolute_path(const std::string& file);

/// Throws: UsageError if the file that `option` names cannot be written, as far as that is known without
/// opening it.
void check_writable(const std::string& file, const std::string& option);

/// Writes all of the text, in one write if possible, and waits if the descriptor does not. On failure returns
/// false and sets errno.
bool write_all(int descriptor, std::string_view text) noexcept;

}  // namespace pyhost::cli
