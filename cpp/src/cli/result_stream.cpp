// Writes results.
#include "cli/result_stream.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "cli/errors.hpp"
#include "cli/files.hpp"

namespace pyhost::cli {

ResultStream::ResultStream(std::string file, bool takes_stdout, bool appends)
    : file_(std::move(file)), path_(absolute_path(file_)), file_mask_(umask(0)), begun_(appends) {
  umask(file_mask_);
  require_stdout();
  if (!file_.empty()) check_writable(file_, "-o");
  if (!takes_stdout) return;
  stdout_ = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (stdout_ < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
    throw OutputError(std::string("cannot write to stdout: ") + std::strerror(errno));
  }
}

ResultStream::~ResultStream() {
  if (stdout_ > STDERR_FILENO) close(stdout_);
}

int ResultStream::open_file() const {
  const int how = O_WRONLY | O_CREAT | O_CLOEXEC | (begun_ ? O_APPEND : O_TRUNC);
  const mode_t mask_of_modules = umask(file_mask_);
  const int opened = open(path_.c_str(), how, 0666);
  const int failed = errno;
  umask(mask_of_modules);
  errno = failed;
  return opened;
}

void ResultStream::write(std::string_view text) {
  const int to = file_.empty() ? stdout_ : open_file();
  if (to < 0) fail();
  begun_ = true;
  if (!write_all(to, text)) fail();
  if (!file_.empty() && close(to) != 0) fail();
}

void ResultStream::write_line(std::string text) {
  text += '\n';
  write(text);
}

void ResultStream::fail() const {
  throw OutputError("the result could not be written to " + (file_.empty() ? "stdout" : "'" + file_ + "'") +
                    ": " + std::strerror(errno));
}

}  // namespace pyhost::cli
