// The bar is one line, which is overwritten each time and is never wider than the terminal.
#include "cli/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "cli/terminal.hpp"
#include "cli/units.hpp"
#include "error/number_text.hpp"

namespace pyhost::cli {

namespace {

using namespace std::chrono_literals;

constexpr const char* failed_colour = "\x1b[31m";
constexpr const char* plain = "\x1b[0m";

std::string rate(double per_second) {
  if (per_second >= 10) return grouped(static_cast<std::size_t>(per_second)) + "/s";
  return detail::general_text(per_second, 2) + "/s";
}

}  // namespace

Progress::Progress(bool quiet) : quiet_(quiet), colour_(use_colour(STDERR_FILENO)) { begin(); }

void Progress::begin() {
  const std::lock_guard lock(mutex_);
  begun_ = Clock::now();
  next_ = begun_ + (line_.is_terminal() ? 200ms : 5s);
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
    text += ", " + clock_text(passed / *now.fraction - passed) + " left";
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
  next_ = Clock::now() + (line_.is_terminal() ? 100ms : 5s);
  if (!line_.is_terminal()) {
    std::fprintf(stderr, "pyhost: %s\n", text(now, false).c_str());
    return;
  }
  const bool fits = column_count(bar(now, false)) <= line_.width();
  line_.show(fits ? bar(now, colour_) : truncate_end(text(now, false), line_.width()));
}

}  // namespace pyhost::cli
