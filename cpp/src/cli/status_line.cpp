// Overwrites the last line of the terminal.
#include "cli/status_line.hpp"

#include <unistd.h>

#include "cli/files.hpp"
#include "cli/terminal.hpp"
#include "pyhost/options.hpp"

namespace pyhost::cli {

namespace {

const std::string clear = "\r\x1b[K";

}  // namespace

StatusLine::StatusLine() : terminal_(can_redraw(STDERR_FILENO)) {}

std::size_t StatusLine::width() const { return terminal_width(STDERR_FILENO).value_or(80) - 1; }

void StatusLine::show(const std::string& text) {
  if (!terminal_) return;
  const std::lock_guard lock(mutex_);
  text_ = text;
  if (at_line_start_) write_all(STDERR_FILENO, clear + text_);
}

void StatusLine::erase() {
  const std::lock_guard lock(mutex_);
  if (!text_.empty() && at_line_start_) write_all(STDERR_FILENO, clear);
  text_.clear();
}

void StatusLine::write(int descriptor, std::string_view text) {
  if (text.empty()) return;
  const std::lock_guard lock(mutex_);
  if (!text_.empty() && at_line_start_) write_all(STDERR_FILENO, clear);
  write_all(descriptor, text);
  at_line_start_ = text.ends_with('\n');
  if (at_line_start_) write_all(STDERR_FILENO, text_);
}

void StatusLine::print(std::string_view text) { write(STDERR_FILENO, text); }

void StatusLine::listen_to(Options& options) {
  if (!terminal_) return;
  options.callbacks.on_output = [this](const Output& output) {
    write(output.stream == Output::Stream::Stdout ? STDOUT_FILENO : STDERR_FILENO, output.text);
  };
}

}  // namespace pyhost::cli
