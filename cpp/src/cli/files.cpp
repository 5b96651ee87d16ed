// Writes to files and descriptors.
#include "cli/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>

#include "cli/errors.hpp"
#include "error/whole_text.hpp"

namespace pyhost::cli {

namespace {

std::array<bool, 3> closed_at_start{};

// Output to a pipe or terminal in non-blocking mode is lost while the pipe is full. The mode belongs to the
// open file, which other processes share, so it must not be changed. Instead, the file is opened again in
// blocking mode, and replaces the descriptor.
void make_blocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  struct stat about{};
  if (flags < 0 || (flags & O_NONBLOCK) == 0 || fstat(fd, &about) != 0) return;
  if (!S_ISFIFO(about.st_mode) && !S_ISCHR(about.st_mode)) return;
  const std::string same = "/proc/self/fd/" + std::to_string(fd);
  const int own = open(same.c_str(), (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (own < 0) return;
  fcntl(own, F_SETFL, 0);
  dup2(own, fd);
  close(own);
}

}  // namespace

// The next file to be opened would get the number of a closed standard descriptor, and printed text would go
// to that file. C's stdout is flushed after each line, like Python's, so that the output of both keeps its
// order.
void open_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    make_blocking(fd);
    if (fcntl(fd, F_GETFD) >= 0) continue;
    closed_at_start.at(static_cast<std::size_t>(fd)) = true;
    const int null = open("/dev/null", O_RDWR);
    if (null != fd && null >= 0) dup2(null, fd), close(null);
  }
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
}

void require_stdin() {
  if (closed_at_start[STDIN_FILENO]) throw UsageError("cannot read from stdin: it is closed");
}

void require_stdout() {
  if (closed_at_start[STDOUT_FILENO])
    throw OutputError("stdout is closed, so the output would be lost; to discard it, use >/dev/null");
}

bool names_stdin(const std::string& file) {
  return file == "-" || file == "/dev/stdin" || file == "/dev/fd/0";
}

bool names_stdout(const std::string& file) {
  return file == "-" || file == "/dev/stdout" || file == "/dev/fd/1";
}

int take_stdin() {
  require_stdin();
  const int taken = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (taken < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0)
    throw UsageError(std::string("cannot read from stdin: ") + std::strerror(errno));
  close(null);
  return taken;
}

const std::filesystem::path& start_folder() {
  static std::error_code failed;
  static const std::filesystem::path folder = std::filesystem::current_path(failed);
  return folder;
}

std::filesystem::path absolute_path(const std::string& file) {
  return file.empty() ? std::filesystem::path() : start_folder() / file;
}

// Called before the run. A result that took an hour must not be lost because of a typo in a folder's name.
void check_writable(const std::string& file, const std::string& option) {
  const std::filesystem::path path(file);
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const bool there = access(file.c_str(), F_OK) == 0;
  if (std::filesystem::is_directory(path))
    throw UsageError(option + " must be a file, but '" + file + "' is a folder");
  if (access(there ? file.c_str() : folder.c_str(), W_OK) != 0) {
    throw UsageError("cannot write to '" + file + "': " + std::strerror(errno));
  }
}

bool write_all(int descriptor, std::string_view text) noexcept {
  int failed = 0;
  do {
    failed = detail::write_whole(descriptor, text);
  } while (failed == EINTR);
  errno = failed;
  return failed == 0;
}

}  // namespace pyhost::cli
