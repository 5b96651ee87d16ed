// One line on stderr that is overwritten as things change, on a terminal.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>

namespace pyhost::cli {

/// Thread: any.
class StatusLine {
 public:
  StatusLine();
  ~StatusLine() { erase(); }
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  /// Whether stderr is a terminal that can overwrite what it shows. Otherwise show() does nothing.
  bool is_terminal() const noexcept { return terminal_; }

  /// The columns that the line may take.
  std::size_t width() const;

  /// Shows this text, which must fit into width(), instead of the one before.
  void show(const std::string& text);

  /// Removes the line, so that something else can be printed.
  void erase();

  /// Prints a text that ends with a newline, in place of the line.
  void print(const std::string& text);

 private:
  void erase_locked();

  bool terminal_;
  std::mutex mutex_;
  bool shown_ = false;
};

}  // namespace pyhost::cli
