// The handler counts and wakes a thread, which may do all that a handler may not. Should that thread wait,
// too, as for a terminal that is held, an alarm ends the process.
#include "cli/signals.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <optional>
#include <utility>

namespace pyhost::cli {

namespace {

using Clock = std::chrono::steady_clock;

// More than a run has that was told to stop.
constexpr std::chrono::seconds patience(2);
constexpr unsigned until_alarm = 4;  // seconds

std::atomic<int> seen = 0;
std::atomic<int> last_seen = 0;
std::atomic<int> most = 0;
std::atomic<int> wake = -1;  // an eventfd

// Also called in a handler.
[[noreturn]] void end_process() {
  std::signal(last_seen, SIG_DFL);
  kill(getpid(), last_seen);
  while (true) pause();
}

void end_by_alarm(int) { end_process(); }

void take(int signal) {
  const int before = errno;
  last_seen = signal;
  if (++seen >= most) {
    std::signal(signal, SIG_DFL);
    std::signal(SIGALRM, end_by_alarm);
    alarm(until_alarm);
  }
  eventfd_write(wake, 1);
  errno = before;
}

}  // namespace

Signals::Signals(SignalsTaken how) : how_(std::move(how)) {
  seen = 0;
  most = how_.most;
  wake = eventfd(0, EFD_CLOEXEC);
  watching_ = std::thread([this] { watch(); });
  for (const int signal : how_.which) {
    if (std::signal(signal, take) == SIG_IGN) {
      std::signal(signal, SIG_IGN);
    } else {
      taken_.push_back(signal);
    }
  }
}

Signals::~Signals() {
  for (const int signal : taken_) std::signal(signal, SIG_DFL);
  if (seen >= most) alarm(0);
  ended_ = true;
  eventfd_write(wake, 1);
  watching_.join();
  close(wake.exchange(-1));
}

int Signals::count() const noexcept { return seen; }

int Signals::last() const noexcept { return last_seen; }

void Signals::watch() {
  int heeded = 0;
  std::optional<Clock::time_point> until;
  while (true) {
    pollfd woken{wake, POLLIN, 0};
    const auto left =
        until ? std::chrono::ceil<std::chrono::milliseconds>(*until - Clock::now()).count() : -1;
    poll(&woken, 1, until ? static_cast<int>(std::max<std::int64_t>(left, 0)) : -1);
    eventfd_t value = 0;
    if (woken.revents != 0) eventfd_read(wake, &value);
    if (ended_) return;
    while (heeded < std::min(seen.load(), how_.most)) {
      ++heeded;
      if (how_.heed) how_.heed(heeded);
    }
    if (heeded == how_.most && !until) until = Clock::now() + patience;
    if (!until || Clock::now() < *until) continue;
    if (how_.last_words) how_.last_words();
    end_process();
  }
}

}  // namespace pyhost::cli
