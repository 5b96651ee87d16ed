// The handler only counts signals and wakes a thread, because most functions must not be called in a handler.
// If that thread blocks, for example on a stopped terminal, an alarm ends the process.
#include "cli/signals.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <utility>

#include "error/system_limits.hpp"

namespace pyhost::cli {

namespace {

using Clock = std::chrono::steady_clock;

// How long the command may take after the last signal. A cancelled run needs less.
constexpr std::chrono::seconds patience(2);
constexpr unsigned until_alarm = 4;  // seconds

std::atomic<int> count_seen = 0;
std::atomic<int> last_seen = 0;
std::atomic<int> max_count = 0;
std::atomic<int> wake = -1;  // an eventfd

// Ends the process by the signal's default action. The kernel does not apply it to process 1 of a container,
// so that process exits with the code that a shell shows for the signal. Must be safe in a signal handler.
[[noreturn]] void end_process(int signal) {
  std::signal(signal, SIG_DFL);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signal);
  pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  std::raise(signal);
  _exit(128 + signal);
}

void end_by_alarm(int) { end_process(last_seen); }

void handle(int signal) {
  const int before = errno;
  last_seen = signal;
  if (++count_seen >= max_count) {
    std::signal(signal, SIG_DFL);
    std::signal(SIGALRM, end_by_alarm);
    alarm(until_alarm);
  }
  eventfd_write(wake, 1);
  errno = before;
}

// A process that a module forks, for example by multiprocessing, has no thread that acts on counted signals.
// Signals get their default action back there, and are blocked until that is done.
thread_local sigset_t mask_before_fork;

void block_before_fork() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &mask_before_fork);
}

void restore_mask() { pthread_sigmask(SIG_SETMASK, &mask_before_fork, nullptr); }

void restore_defaults_in_child() {
  for (const int signal : {SIGINT, SIGTERM}) {
    struct sigaction action{};
    if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler == handle) std::signal(signal, SIG_DFL);
  }
  restore_mask();
}

volatile std::sig_atomic_t end_signal = 0;

void end_by_last_signal() {
  if (end_signal != 0) end_process(end_signal);
}

}  // namespace

Signals::Signals(SignalOptions options) : options_(std::move(options)) {
  count_seen = 0;
  max_count = options_.max_count;
  wake = detail::require_from_system(eventfd(0, EFD_CLOEXEC), "signals cannot be handled");
  static const int registered = pthread_atfork(block_before_fork, restore_mask, restore_defaults_in_child);
  static_cast<void>(registered);
  watching_ = detail::start_thread([this] { watch(); });
  for (const int signal : options_.signals) {
    if (std::signal(signal, handle) == SIG_IGN) {
      std::signal(signal, SIG_IGN);
    } else {
      handled_.push_back(signal);
    }
  }
}

Signals::~Signals() {
  for (const int signal : handled_) std::signal(signal, SIG_DFL);
  if (count_seen >= max_count) alarm(0);
  ended_ = true;
  eventfd_write(wake, 1);
  watching_.join();
  close(wake.exchange(-1));
}

int Signals::count() const noexcept { return count_seen; }

int Signals::last() const noexcept { return last_seen; }

void Signals::watch() {
  int notified = 0;
  std::optional<Clock::time_point> until;
  while (true) {
    pollfd woken{wake, POLLIN, 0};
    const auto left =
        until ? std::chrono::ceil<std::chrono::milliseconds>(*until - Clock::now()).count() : -1;
    poll(&woken, 1, until ? static_cast<int>(std::max<std::int64_t>(left, 0)) : -1);
    eventfd_t value = 0;
    if (woken.revents != 0) eventfd_read(wake, &value);
    if (ended_) return;
    while (notified < std::min(count_seen.load(), options_.max_count)) {
      ++notified;
      if (options_.on_signal) options_.on_signal(notified);
    }
    if (notified == options_.max_count && !until) until = Clock::now() + patience;
    if (!until || Clock::now() < *until) continue;
    if (options_.before_exit) options_.before_exit();
    end_process(last_seen);
  }
}

// Atexit functions run in the reverse order of their registration. So if this is called before Python starts,
// the process ends by the signal after Python has ended.
void prepare_end_by_signal() { std::atexit(end_by_last_signal); }

void end_by_signal(int signal) { end_signal = signal; }

}  // namespace pyhost::cli
