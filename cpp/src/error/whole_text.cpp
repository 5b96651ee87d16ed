// The kernel writes a text of any length to a file or a terminal in one piece. It writes a long text to a
// pipe or a socket in several pieces, and texts of other writers may come between them. So these writes hold
// a lock. A pipe can be locked by process, and the kernel releases the lock of a process that dies.
#include "error/whole_text.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <tuple>

namespace pyhost::detail {

namespace {

// Mutexes by file, so that a thread that waits for the reader of one pipe rarely blocks writes to another.
// They exclude the threads of this process, which the lock of the pipe does not. Never destroyed, because
// threads may write while the process ends. A child of fork() gets new ones, because a thread that does not
// exist in the child may hold one.
using FileMutexes = std::array<std::mutex, 256>;
FileMutexes* writing = new FileMutexes;

std::mutex& mutex_of(const struct stat& file) {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { writing = new FileMutexes; });
  static_cast<void>(registered);
  return (*writing)[file.st_ino % std::tuple_size_v<FileMutexes>];
}

int set_lock(int descriptor, short type) noexcept {
  struct flock whole{};
  whole.l_type = type;
  whole.l_whence = SEEK_SET;
  return fcntl(descriptor, F_SETLKW, &whole) == 0 ? 0 : errno;
}

class PipeLock {
 public:
  PipeLock(int descriptor, const struct stat& about) noexcept : descriptor_(descriptor) {
    if (!S_ISFIFO(about.st_mode) && !S_ISSOCK(about.st_mode)) return;
    const int failed = set_lock(descriptor, F_WRLCK);
    is_locked_ = failed == 0;
    is_interrupted_ = failed == EINTR;  // after other failures the text is written without a lock
  }
  ~PipeLock() {
    if (is_locked_) set_lock(descriptor_, F_UNLCK);
  }
  PipeLock(const PipeLock&) = delete;
  PipeLock& operator=(const PipeLock&) = delete;

  bool is_interrupted() const noexcept { return is_interrupted_; }

 private:
  int descriptor_;
  bool is_locked_ = false;
  bool is_interrupted_ = false;
};

}  // namespace

int write_whole(int descriptor, std::string_view& text) noexcept {
  struct stat about{};
  if (fstat(descriptor, &about) != 0) return errno;
  const std::lock_guard here(mutex_of(about));
  const PipeLock lock(descriptor, about);
  if (lock.is_interrupted()) return EINTR;
  while (!text.empty()) {
    const ssize_t written = write(descriptor, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd writable{descriptor, POLLOUT, 0};
      if (poll(&writable, 1, -1) < 0) return errno;
    } else {
      return errno;
    }
  }
  return 0;
}

}  // namespace pyhost::detail
