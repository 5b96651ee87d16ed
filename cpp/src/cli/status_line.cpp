// Overwrites the last line of the terminal.
#include "cli/status_line.hpp"

#include <unistd.h>

#include <cstdio>

#include "cli/terminal.hpp"

namespace pyhost::cli {

StatusLine::StatusLine() : terminal_(can_redraw(STDERR_FILENO)) {}

std::size_t StatusLine::width() const { return terminal_width(STDERR_FILENO).value_or(80) - 1; }

void StatusLine::show(const std::string& text) {
  if (!terminal_) return;
  const std::lock_guard lock(mutex_);
  std::fprintf(stderr, "\r\x1b[K%s", text.c_str());
  std::fflush(stderr);
  shown_ = true;
}

void StatusLine::erase() {
  const std::lock_guard lock(mutex_);
  erase_locked();
}

void StatusLine::print(const std::string& text) {
  const std::lock_guard lock(mutex_);
  erase_locked();
  std::fputs(text.c_str(), stderr);
}

void StatusLine::erase_locked() {
  if (!shown_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  shown_ = false;
}

}  // namespace pyhost::cli
