// Writes results.
#include "cli/result_stream.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "cli/errors.hpp"
#include "cli/files.hpp"

namespace pyhost::cli {

namespace {

bool is_pipe_or_device(const std::filesystem::path& path) {
  std::error_code failed;
  return std::filesystem::exists(path, failed) && !std::filesystem::is_regular_file(path, failed);
}

}  // namespace

ResultStream::ResultStream(std::string file, OutputOptions options)
    : file_(names_stdout(file) ? "" : file),
      path_(absolute_path(file_)),
      file_mask_(umask(0)),
      begun_(options.appends) {
  umask(file_mask_);
  require_stdout();
  if (!file_.empty()) {
    check_writable(file_, "-o");
    const bool special = is_pipe_or_device(path_);
    if (options.appends && special)
      throw UsageError("--resume needs a regular file, but '" + file_ + "' is a pipe or a device");
    if (special) {
      open_file();
    } else if (options.locks) {
      open_locked_file();
    }
  }
  if (!options.takes_stdout && !names_stdout(file)) return;
  stdout_ = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (stdout_ < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
    throw OutputError(std::string("cannot write to stdout: ") + std::strerror(errno));
  }
}

ResultStream::~ResultStream() {
  if (stdout_ > STDERR_FILENO) close(stdout_);
  if (created_ && !begun_) unlink(path_.c_str());
  if (descriptor_ >= 0) close(descriptor_);
}

void ResultStream::open_file() {
  const mode_t mask_of_modules = umask(file_mask_);
  descriptor_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  const int failed = errno;
  umask(mask_of_modules);
  errno = failed;
  struct stat about{};
  if (descriptor_ < 0 || fstat(descriptor_, &about) != 0) fail();
  regular_ = S_ISREG(about.st_mode);
}

// Opens the file again if it was removed before it was locked. A process that has created the file but has no
// results removes it.
void ResultStream::open_locked_file() {
  do {
    if (descriptor_ >= 0) close(descriptor_);
    created_ = access(path_.c_str(), F_OK) != 0;
    open_file();
    lock();
  } while (is_removed());
}

// Locks the file from the byte at this process's id to the end. So any two locks conflict, and the start of a
// lock is the id of the process that holds it. A file system without locks is not an error.
void ResultStream::lock() {
  struct flock range{};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  range.l_start = getpid();
  if (fcntl(descriptor_, F_OFD_SETLK, &range) == 0 || (errno != EAGAIN && errno != EACCES)) return;
  range.l_start = 0;
  const bool known = fcntl(descriptor_, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
  throw UsageError((known ? "process " + std::to_string(range.l_start) : std::string("another process")) +
                   " is writing its results to '" + file_ + "': wait for it, or name another file with -o");
}

bool ResultStream::is_removed() const noexcept {
  struct stat about{};
  return regular_ && fstat(descriptor_, &about) == 0 && about.st_nlink == 0;
}

void ResultStream::write(std::string_view text) {
  if (!file_.empty() && descriptor_ < 0) open_file();
  if (regular_ && !begun_ && ftruncate(descriptor_, 0) != 0) fail();
  begun_ = true;
  if (is_removed()) throw OutputError("'" + file_ + "' was removed, so further results would be lost");
  if (!write_all(file_.empty() ? stdout_ : descriptor_, text)) fail();
}

void ResultStream::write_line(std::string text) {
  text += '\n';
  write(text);
}

void ResultStream::end() {
  if (descriptor_ >= 0 && close(std::exchange(descriptor_, -1)) != 0) fail();
}

void ResultStream::fail() const {
  throw OutputError("the result could not be written to " + (file_.empty() ? "stdout" : "'" + file_ + "'") +
                    ": " + std::strerror(errno));
}

}  // namespace pyhost::cli
