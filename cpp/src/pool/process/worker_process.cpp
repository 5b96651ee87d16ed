// Starts worker processes by posix_spawn, and kills them with all processes that they leave.
#include "pool/process/worker_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>
#include <type_traits>

#include "error/source_lines.hpp"
#include "error/system_limits.hpp"
#include "interpreter/installation.hpp"
#include "pool/process/process_group.hpp"

extern char** environ;

namespace pyhost::detail {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

[[noreturn]] void refuse(const std::string& doing, int error) {
  throw refused_by_system("no worker process could be started: " + doing, error);
}

int require(int result, const char* doing) {
  if (result < 0) refuse(doing, errno);
  return result;
}

struct Actions {
  posix_spawn_file_actions_t raw;
  Actions() { posix_spawn_file_actions_init(&raw); }
  ~Actions() { posix_spawn_file_actions_destroy(&raw); }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;
};

struct Attributes {
  posix_spawnattr_t raw;
  Attributes() { posix_spawnattr_init(&raw); }
  ~Attributes() { posix_spawnattr_destroy(&raw); }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
};

// Gives the worker a process group of its own and default signal actions, whatever the application has set.
void set_attributes(posix_spawnattr_t& attributes) {
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  for (const int each : {SIGKILL, SIGSTOP}) sigdelset(&all, each);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

int first_descriptor() {
  constexpr rlim_t enough = 4096;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<int>(std::min(limit.rlim_cur, enough)) - 2 * inherited_count;
}

}  // namespace

std::string worker_version() {
  constexpr int protocol = 6;  // increases with each change of the messages between worker and pool
  return PYHOST_VERSION "-" + std::to_string(protocol) + "-" + std::to_string(sizeof(SharedPage));
}

int stack_dump_signal() noexcept { return SIGRTMAX - 3; }

int pool_ended_signal() noexcept { return SIGRTMAX - 4; }

std::string to_string(const ExitStatus& ending) {
  if (!ending.known) return "an unknown status";
  if (ending.signal == 0) return "status " + std::to_string(ending.status);
  const char* name = sigabbrev_np(ending.signal);
  return "signal " + std::to_string(ending.signal) +
         (name != nullptr ? " (SIG" + std::string(name) + ")" : std::string()) +
         (ending.of_oom_killer ? " of the kernel's out-of-memory killer" : "");
}

WorkerProcess::WorkerProcess(const fs::path& program) {
  const int first = first_descriptor();
  // Descriptors whose numbers the worker's descriptors will get are first duplicated to higher numbers.
  const int free = first + inherited_count;
  std::array<int, 2> channel{}, wakeup{};
  require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel.data()), "making a channel");
  channel_ = Descriptor(channel[0]);
  Descriptor their_channel(channel[1]);
  require(pipe2(wakeup.data(), O_CLOEXEC), "making a pipe");
  Descriptor their_wakeup(wakeup[0]);
  wakeup_ = Descriptor(wakeup[1]);
  Descriptor memory(require(memfd_create("pyhost-worker", MFD_CLOEXEC), "making shared memory"));
  trace_ = Descriptor(require(memfd_create("pyhost-trace", MFD_CLOEXEC), "making shared memory"));
  map_memory(memory.get());
  require(fcntl(channel_.get(), F_SETFL, O_NONBLOCK), "making a channel");
  require(fcntl(wakeup_.get(), F_SETFL, O_NONBLOCK), "making a pipe");

  Actions actions;
  Attributes attributes;
  set_attributes(attributes.raw);
  const std::array<int, inherited_count> theirs{their_channel.get(), their_wakeup.get(), memory.get(),
                                                trace_.get()};
  std::array<Descriptor, inherited_count> moved;
  posix_spawn_file_actions_addopen(&actions.raw, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  for (int i = 0; i < inherited_count; ++i) {
    int from = theirs[static_cast<std::size_t>(i)];
    if (from >= first && from < free) {
      moved[static_cast<std::size_t>(i)] =
          Descriptor(require(fcntl(from, F_DUPFD_CLOEXEC, free), "duplicating a descriptor"));
      from = moved[static_cast<std::size_t>(i)].get();
    }
    posix_spawn_file_actions_adddup2(&actions.raw, from, first + i);
  }
  std::string name = program.string(), word = worker_word;
  std::string where = std::to_string(first) + ":" + std::to_string(getpid()) + ":" + worker_version();
  std::array<char*, 4> argv{name.data(), word.data(), where.data(), nullptr};
  pid_t id = -1;
  const int failed = posix_spawn(&id, program.c_str(), &actions.raw, &attributes.raw, argv.data(), environ);
  if (failed != 0) refuse("starting " + program.string(), failed);
  id_ = id;
  ended_ = Descriptor(static_cast<int>(syscall(SYS_pidfd_open, id_, 0)));
}

void WorkerProcess::map_memory(int memory) {
  require(ftruncate(memory, sizeof(SharedPage)), "making shared memory");
  void* const at = mmap(nullptr, sizeof(SharedPage), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  if (at == MAP_FAILED) refuse("mapping shared memory", errno);
  page_.reset(static_cast<SharedPage*>(at));  // zero-filled, which is its initial state
}

void WorkerProcess::Unmap::operator()(SharedPage* page) const noexcept { munmap(page, sizeof(SharedPage)); }

WorkerProcess::~WorkerProcess() { kill(); }

void WorkerProcess::wake_worker() noexcept { static_cast<void>(!write(wakeup_.get(), "c", 1)); }

void WorkerProcess::request_stack_dump() noexcept {
  const auto size = [this] {
    struct stat status{};
    return fstat(trace_.get(), &status) == 0 ? status.st_size : 0;
  };
  if (ending_ || ::kill(id_, stack_dump_signal()) != 0) return;
  off_t before = 0;
  for (int looks = 0; looks < 500; ++looks) {  // two checks are enough, unless the machine is busy
    std::this_thread::sleep_for(1ms);
    const off_t now = size();
    if (now > 0 && now == before) return;
    before = now;
  }
}

// Reaps the process. Its group is ended before that: after it, the group id could be reused.
bool WorkerProcess::reap(bool block) noexcept {
  if (ending_) return true;
  siginfo_t seen{};
  const int flags = WEXITED | WNOWAIT | (block ? 0 : WNOHANG);
  int failed = 0;
  do {
    failed = waitid(P_PID, static_cast<id_t>(id_), &seen, flags);
  } while (failed != 0 && errno == EINTR);
  if (failed == 0 && seen.si_pid == 0) return false;
  end_process_group(id_);
  if (failed != 0) {  // SIGCHLD is ignored, or the application waits for all children
    ending_ = ExitStatus{};
    return true;
  }
  int status = 0;
  while (waitpid(id_, &status, 0) < 0 && errno == EINTR) {
  }
  ending_ = ExitStatus{true, WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                       WIFEXITED(status) ? WEXITSTATUS(status) : 0};
  return true;
}

ExitStatus WorkerProcess::kill() noexcept {
  if (!reap(false)) {
    ::kill(id_, SIGKILL);  // the worker alone: its death lets a resource tracker in its group clean up
    reap(true);
  }
  return *ending_;
}

bool WorkerProcess::has_ended() noexcept { return reap(false); }

bool WorkerProcess::ends_within(std::chrono::milliseconds patience) noexcept {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!reap(false)) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left <= 0ms) return false;
    pollfd ended{ended_.get(), POLLIN, 0};
    const int most = ended_ ? 1000 : 5;
    poll(&ended, 1, static_cast<int>(std::min<std::int64_t>(left.count() + 1, most)));
  }
  return true;
}

std::string WorkerProcess::trace() const {
  std::string text(std::size_t{64} * 1024, '\0');
  const ssize_t got = pread(trace_.get(), text.data(), text.size(), 0);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  return text;
}

namespace {

// `  File "x.py", line 7 in run`
std::optional<Frame> frame_of(std::string_view line) {
  constexpr std::string_view begin = "  File \"", before_line = "\", line ", before_function = " in ";
  if (!line.starts_with(begin)) return std::nullopt;
  line.remove_prefix(begin.size());
  const std::size_t end = line.rfind(before_line);
  if (end == std::string_view::npos) return std::nullopt;
  Frame frame{.file = shown_line(line.substr(0, end))};
  std::string_view rest = line.substr(end + before_line.size());
  for (; !rest.empty() && rest.front() >= '0' && rest.front() <= '9' && frame.line < 100'000'000;
       rest.remove_prefix(1)) {
    frame.line = frame.line * 10 + (rest.front() - '0');
  }
  if (rest.starts_with(before_function)) frame.function = shown_line(rest.substr(before_function.size()));
  return frame;
}

}  // namespace

PythonException traced_exception(std::string_view trace) {
  constexpr std::string_view fatal = "Fatal Python error: ";
  PythonException exception;
  bool in_the_thread_that_crashed = false;
  while (!trace.empty()) {
    const std::size_t end = std::min(trace.find('\n'), trace.size());
    const std::string_view line = trace.substr(0, end);
    trace.remove_prefix(std::min(end + 1, trace.size()));
    if (line.starts_with(fatal) && exception.type.empty()) {
      exception.type = fatal.substr(0, fatal.size() - 2);
      exception.message = shown_line(line.substr(fatal.size()));
      in_the_thread_that_crashed = true;
    } else if (line.ends_with("(most recent call first):")) {  // faulthandler writes the main thread last
      if (in_the_thread_that_crashed && !exception.frames.empty()) break;
      exception.frames.clear();
    } else if (auto frame = frame_of(line)) {
      exception.frames.push_back(*std::move(frame));
    }
  }
  SourceFiles files;
  for (Frame& frame : exception.frames) frame.source = files.line(frame.file, frame.line);
  std::ranges::reverse(exception.frames);
  return exception;
}

fs::path find_worker(const fs::path& given) {
  std::vector<fs::path> looked;
  if (!given.empty()) {
    looked = {given};
  } else {
    for (const fs::path& folder : program_folders()) looked.push_back(folder / "pyhost-worker");
  }
  for (const fs::path& each : looked) {
    if (access(each.c_str(), X_OK) == 0 && fs::is_regular_file(each)) return fs::absolute(each);
  }
  std::string places;
  for (const fs::path& each : looked) places += (places.empty() ? "'" : ", '") + each.string() + "'";
  throw Error({.kind = ErrorKind::StartupFailed,
               .phase = Phase::Start,
               .message = "no worker program was found for Isolation::Process: looked for " + places,
               .hint = "install pyhost's programs, or set PoolOptions::worker"});
}

}  // namespace pyhost::detail
