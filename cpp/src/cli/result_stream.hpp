// Where a command's result goes: stdout, or a file.
#pragma once

#include <unistd.h>

#include <functional>
#include <string>
#include <string_view>

namespace pyhost::cli {

/// Takes stdout over if `takes_stdout`: what a module prints then goes to stderr, also if C code or a child
/// process prints it. Throws UsageError for a file that cannot be written, before there is anything to write.
class ResultStream {
 public:
  /// What the file has already stays if `appends`.
  ResultStream(std::string file, bool takes_stdout, bool appends = false);
  ~ResultStream();
  ResultStream(const ResultStream&) = delete;
  ResultStream& operator=(const ResultStream&) = delete;

  /// The descriptor of stdout as it was.
  int descriptor() const noexcept { return stdout_; }

  /// Writes it at once, after what was written before. Throws OutputError.
  void write(std::string_view text);
  void write_line(std::string text);

 private:
  [[noreturn]] void fail() const;

  std::string file_;
  int stdout_ = STDOUT_FILENO;
  bool begun_;
};

/// Throws UsageError if the file that an option names cannot be written, as far as is known before it is.
void check_writable(const std::string& file, const std::string& option);

/// Writes all of the text. False if that failed, with errno.
bool write_all(int descriptor, std::string_view text) noexcept;

/// As JSON has them, with six decimals.
std::string seconds_text(double seconds);

/// What the work gives. If `json`, an Error is written to the output as one JSON document, and gives its
/// exit code.
int errors_as_json(bool json, ResultStream& output, const std::function<int()>& work);

}  // namespace pyhost::cli
