// Writes the results of a command to stdout or a file.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>

namespace pyhost::cli {

struct OutputOptions {
  bool takes_stdout = false;  ///< Send all other output, also of C code and child processes, to stderr.
  bool appends = false;       ///< Keep the old content of the file.
  bool locks = false;         ///< Lock the file, so that only one process at a time writes to it.
};

/// The stream of a command's results. Only results are written to stdout if -o names stdout or if
/// `takes_stdout` is set. Otherwise modules may print to stdout, too.
class ResultStream {
 public:
  /// `file` is the value of -o, or empty for stdout. A pipe or a device is opened here; for a named pipe,
  /// that waits for its reader. Throws: UsageError if the file cannot be written, or if another process has
  /// locked it; OutputError if stdout is closed.
  explicit ResultStream(std::string file = {}, OutputOptions options = {});
  ~ResultStream();
  ResultStream(const ResultStream&) = delete;
  ResultStream& operator=(const ResultStream&) = delete;

  /// Returns the descriptor of the original stdout.
  int descriptor() const noexcept { return stdout_; }

  /// Returns the absolute path of the file, or an empty path for stdout.
  const std::filesystem::path& path() const noexcept { return path_; }

  /// Returns whether results go to an open regular file, which --resume can read later.
  bool is_regular_file() const noexcept { return regular_; }

  /// Writes without a buffer. A file is created or emptied by the first write, and stays open. Throws:
  /// OutputError.
  void write(std::string_view text);
  void write_line(std::string text);

  /// Closes the file. Throws: OutputError.
  void end();

 private:
  void open_file();
  void open_locked_file();
  void lock();
  bool is_removed() const noexcept;
  [[noreturn]] void fail() const;

  std::string file_;  // as the user wrote it, for messages
  // Absolute path and original umask, because modules may change the current folder and the umask.
  std::filesystem::path path_;
  mode_t file_mask_;
  bool begun_;
  bool created_ = false;  // whether the file was created only to be locked
  bool regular_ = false;
  int stdout_ = STDOUT_FILENO;
  int descriptor_ = -1;  // of the file
};

}  // namespace pyhost::cli
