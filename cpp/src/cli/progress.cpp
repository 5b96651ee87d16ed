// The bar is one line that is overwritten each time. It is never wider than the terminal.
#include "cli/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "cli/terminal.hpp"
#include "error/number_text.hpp"

namespace pyhost::cli {

namespace {

using namespace std::chrono_literals;

constexpr const char* failed_colour = "\x1b[31m";
constexpr const char* plain = "\x1b[0m";

std::string grouped(std::size_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

// "0:07", "1:02:03"
std::string clock(double seconds) {
  const auto all = static_cast<long>(std::lround(seconds));
  std::array<char, 32> text{};
  if (all >= 3600) {
    std::snprintf(text.data(), text.size(), "%ld:%02ld:%02ld", all / 3600, all / 60 % 60, all % 60);
  } else {
    std::snprintf(text.data(), text.size(), "%ld:%02ld", all / 60, all % 60);
  }
  return text.data();
}

std::string rate(double per_second) {
  if (per_second >= 10) return grouped(static_cast<std::size_t>(per_second)) + "/s";
  return detail::general_text(per_second, 2) + "/s";
}

}  // namespace

std::string counted(std::size_t count, const std::string& what) {
  return grouped(count) + " " + what + (count == 1 ? "" : "s");
}

Progress::Progress(bool quiet)
    : quiet_(quiet), terminal_(can_redraw(STDERR_FILENO)), colour_(use_colour(STDERR_FILENO)) {
  begin();
}

void Progress::begin() {
  const std::lock_guard lock(mutex_);
  begun_ = Clock::now();
  next_ = begun_ + (terminal_ ? 200ms : 5s);
}

double Progress::seconds() const { return std::chrono::duration<double>(Clock::now() - begun_).count(); }

std::string Progress::text(const ProgressState& now, bool coloured) const {
  const double passed = seconds();
  std::string text = grouped(now.done) + " done";
  if (now.failed > 0) {
    text += ", " + (coloured ? failed_colour : std::string()) + grouped(now.failed) + " failed" +
            (coloured ? plain : "");
  }
  text += ", " + rate(static_cast<double>(now.done) / std::max(passed, 1e-3));
  if (now.fraction && *now.fraction > 0) {
    text += ", " + clock(passed / *now.fraction - passed) + " left";
  }
  return text;
}

std::string Progress::bar(const ProgressState& now, bool coloured) const {
  constexpr std::size_t longest = 30;
  if (!now.fraction) return text(now, coloured);
  const auto full = static_cast<std::size_t>(std::lround(*now.fraction * longest));
  std::array<char, 16> percent{};
  std::snprintf(percent.data(), percent.size(), "] %3ld%% ", std::lround(*now.fraction * 100));
  return "[" + std::string(full, '#') + std::string(longest - full, ' ') + percent.data() +
         text(now, coloured);
}

void Progress::show(const ProgressState& now) {
  const std::lock_guard lock(mutex_);
  if (quiet_ || Clock::now() < next_) return;
  next_ = Clock::now() + (terminal_ ? 100ms : 5s);
  if (!terminal_) {
    std::fprintf(stderr, "pyhost: %s\n", text(now, false).c_str());
    return;
  }
  const std::size_t width = terminal_width(STDERR_FILENO).value_or(80);
  const bool fits = column_count(bar(now, false)) < width;
  const std::string line = fits ? bar(now, colour_) : truncate_end(text(now, false), width - 1);
  std::fprintf(stderr, "\r\x1b[K%s", line.c_str());
  std::fflush(stderr);
  shown_ = true;
}

void Progress::erase() {
  const std::lock_guard lock(mutex_);
  erase_locked();
}

void Progress::print_line(const std::string& line) {
  const std::lock_guard lock(mutex_);
  erase_locked();
  std::fprintf(stderr, "%s\n", line.c_str());
}

void Progress::erase_locked() {
  if (!shown_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  shown_ = false;
}

}  // namespace pyhost::cli
