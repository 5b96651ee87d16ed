// The system writes a text of any length at once to a file or a terminal. A pipe or a socket takes a long one
// in pieces, between which also short ones of others would come: there each text is written under a lock. The
// pipe itself can be locked, by process. The kernel releases the lock of a process that dies.
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

// One for each file, nearly: who waits for the reader of one pipe must not keep others from another one.
// These keep the threads of this process apart, which the lock of a pipe does not. Never destroyed: threads
// may write while the process ends. A child of fork() gets new ones, since a thread that is not there may
// have one.
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
    is_interrupted_ = failed == EINTR;  // other failures leave the text without a lock
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
