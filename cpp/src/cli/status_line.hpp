// A line on a terminal that is overwritten to show the current status.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>

namespace pyhost {
struct Options;
}

namespace pyhost::cli {

/// The last line on stderr. Text that is printed through this object appears above it. Thread: any.
class StatusLine {
 public:
  StatusLine();
  ~StatusLine() { erase(); }
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  /// Returns whether stderr is a terminal that can overwrite text. Otherwise show() does nothing.
  bool is_terminal() const noexcept { return terminal_; }

  /// Returns how many columns the line may have.
  std::size_t width() const;

  /// Replaces the text of the line. It must fit into width().
  void show(const std::string& text);

  /// Removes the line until the next show(), so that other text can be printed.
  void erase();

  /// Writes text to stdout or stderr, above the line.
  void write(int descriptor, std::string_view text);

  /// Writes text to stderr, above the line.
  void print(std::string_view text);

  /// Sets Callbacks::on_output on a terminal, so that output of modules is also written above the line.
  /// Output of C code and child processes is not.
  void listen_to(Options& options);

 private:
  bool terminal_;
  std::mutex mutex_;
  std::string text_;           // of the line; empty if it is not shown
  bool at_line_start_ = true;  // otherwise the text above has no newline yet, and the line is not shown
};

}  // namespace pyhost::cli
