// Where the result of a command goes: stdout or a file.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>

namespace pyhost::cli {

struct OutputOptions {
  bool takes_stdout = false;  ///< What a module prints goes to stderr, also if C code or a child prints it.
  bool appends = false;       ///< The old content of the file is kept.
  bool locks = false;         ///< Only one process at a time writes to the file.
};

/// stdout is for the result only if the result goes there by -o, or if the options say so.
class ResultStream {
 public:
  /// The file is what -o names, or empty. A pipe or a device is opened here, which waits for the reader of a
  /// named pipe. Throws: UsageError if the file cannot be written, or another process has it locked;
  /// OutputError if stdout is closed.
  explicit ResultStream(std::string file = {}, OutputOptions options = {});
  ~ResultStream();
  ResultStream(const ResultStream&) = delete;
  ResultStream& operator=(const ResultStream&) = delete;

  /// Returns the descriptor of the original stdout.
  int descriptor() const noexcept { return stdout_; }

  /// Returns the file with its folder; empty if the result goes to stdout.
  const std::filesystem::path& path() const noexcept { return path_; }

  /// Returns whether --resume can read what is written here: it is an open file, not stdout, a pipe or a
  /// device.
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
  // Modules may change the current folder and the umask, and neither is for the result.
  std::filesystem::path path_;
  mode_t file_mask_;
  bool begun_;
  bool created_ = false;  // for the lock
  bool regular_ = false;
  int stdout_ = STDOUT_FILENO;
  int descriptor_ = -1;  // of the file
};

}  // namespace pyhost::cli
