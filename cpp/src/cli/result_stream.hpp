// Where the result of a command goes: stdout or a file.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>

namespace pyhost::cli {

/// If `takes_stdout`, stdout is for the result only: what a module prints goes to stderr, also if C code or a
/// child process prints it.
class ResultStream {
 public:
  /// If `appends`, the old content of the file is kept. Throws: UsageError if the file cannot be written,
  /// OutputError if stdout is closed.
  ResultStream(std::string file, bool takes_stdout, bool appends = false);
  ~ResultStream();
  ResultStream(const ResultStream&) = delete;
  ResultStream& operator=(const ResultStream&) = delete;

  /// Returns the descriptor of the original stdout.
  int descriptor() const noexcept { return stdout_; }

  /// Returns the file with its folder; empty if the result goes to stdout.
  const std::filesystem::path& path() const noexcept { return path_; }

  /// Writes without a buffer. The file is created by the first write. Throws: OutputError.
  void write(std::string_view text);
  void write_line(std::string text);

 private:
  int open_file() const;
  [[noreturn]] void fail() const;

  std::string file_;  // as the user wrote it, for messages
  // Modules may change the current folder and the umask, and neither is for the result.
  std::filesystem::path path_;
  mode_t file_mask_;
  int stdout_ = STDOUT_FILENO;
  bool begun_;
};

}  // namespace pyhost::cli
