// One line on stderr that is overwritten as things change, on a terminal.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>

namespace pyhost {
struct Options;
}

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

  /// Removes the line until the next show(), so that something else can be printed.
  void erase();

  /// Writes a text to stdout or stderr in place of the line, which is shown again below it.
  void write(int descriptor, std::string_view text);

  /// Writes a text to stderr in the same way.
  void print(std::string_view text);

  /// Sets Callbacks::on_output on a terminal, so that what modules print is written in the same way. What C
  /// code and child processes print comes as it does.
  void listen_to(Options& options);

 private:
  bool terminal_;
  std::mutex mutex_;
  std::string text_;  // what is shown, or empty
  bool at_line_start_ =
      true;  // otherwise what was written last has no newline yet, and the line waits for it
};

}  // namespace pyhost::cli
