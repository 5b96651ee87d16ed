// A worker inherits nothing from the application except what its pool passes to it.
#include "pool/process/worker_start.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <system_error>

namespace pyhost::detail {

namespace {

std::atomic<bool> forked = false;

}  // namespace

std::optional<StartArguments> parse_start_arguments(std::string_view text) {
  StartArguments arguments;
  const auto* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, arguments.first_descriptor);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != ':') return std::nullopt;
  const auto pool = std::from_chars(first.ptr + 1, end, arguments.pool);
  if (pool.ec != std::errc() || std::string_view(pool.ptr, end) != ":" + worker_version())
    return std::nullopt;
  return arguments;
}

void prepare_descriptors(const StartArguments& arguments) {
  const auto first = static_cast<unsigned>(arguments.first_descriptor);
  syscall(SYS_close_range, static_cast<unsigned>(STDERR_FILENO) + 1, first - 1, 0U);
  syscall(SYS_close_range, first + inherited_count, ~0U, 0U);
  for (int i = 0; i < inherited_count; ++i) fcntl(arguments.first_descriptor + i, F_SETFD, FD_CLOEXEC);
}

SharedPage* map_shared_page(int descriptor) {
  void* const at = mmap(nullptr, sizeof(SharedPage), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  close(descriptor);
  if (at == MAP_FAILED) _exit(EXIT_FAILURE);
  return static_cast<SharedPage*>(at);
}

// The kernel sends the signal when the pool's thread ends, at the latest with the pool's process.
void end_when_pool_ends(const StartArguments& arguments) {
  struct sigaction action{};
  action.sa_handler = [](int) { kill(0, SIGKILL); };
  sigaction(pool_ended_signal(), &action, nullptr);
  prctl(PR_SET_PDEATHSIG, pool_ended_signal());
  if (getppid() != arguments.pool) end_with_pool();
}

void end_with_pool() {
  kill(0, SIGKILL);
  _exit(SIGKILL);
}

namespace {

// Signals that are often sent to all processes of a job. The pool decides what they mean for its workers.
constexpr std::array signals_to_a_job{SIGINT, SIGTERM};

void do_nothing(int) {}

// A child that a module forks gets the default actions back, because otherwise these signals could not end
// it. Until then its signals are blocked.
thread_local sigset_t mask_before_fork;

void block_before_fork() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &mask_before_fork);
}

void restore_mask() { pthread_sigmask(SIG_SETMASK, &mask_before_fork, nullptr); }

void begin_child() {
  forked = true;
  for (const int signal : signals_to_a_job) {
    struct sigaction action{};
    if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler == do_nothing)
      std::signal(signal, SIG_DFL);
  }
  restore_mask();
}

}  // namespace

// Installs a handler, because programs that modules start would inherit SIG_IGN or a mask.
void survive_signals_to_a_job() {
  struct sigaction action{};
  action.sa_handler = do_nothing;
  action.sa_flags = SA_RESTART;
  for (const int signal : signals_to_a_job) sigaction(signal, &action, nullptr);
}

void observe_forks() { pthread_atfork(block_before_fork, restore_mask, begin_child); }

bool is_forked() noexcept { return forked; }

}  // namespace pyhost::detail
