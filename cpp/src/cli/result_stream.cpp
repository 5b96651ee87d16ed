// Writing a result whole, or saying why not.
#include "cli/result_stream.hpp"

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "cli/command.hpp"
#include "cli/errors.hpp"

namespace pyhost::cli {

ResultStream::ResultStream(std::string file, bool takes_stdout, bool appends)
    : file_(std::move(file)), begun_(appends) {
  if (fcntl(STDOUT_FILENO, F_GETFD) < 0) {
    throw OutputError("stdout is closed: what the module prints would be lost; to lose it, use >/dev/null");
  }
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

void ResultStream::write(std::string_view text) {
  const int how = O_WRONLY | O_CREAT | O_CLOEXEC | (begun_ ? O_APPEND : O_TRUNC);
  const int to = file_.empty() ? stdout_ : open(file_.c_str(), how, 0666);
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

// Before the run: a result that took an hour should not be lost for a typo in a folder's name.
void check_writable(const std::string& file, const std::string& option) {
  const std::filesystem::path path(file);
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const bool there = access(file.c_str(), F_OK) == 0;
  if (std::filesystem::is_directory(path))
    throw UsageError(option + " takes a file, and '" + file + "' is a folder");
  if (access(there ? file.c_str() : folder.c_str(), W_OK) != 0) {
    throw UsageError("cannot write to '" + file + "': " + std::strerror(errno));
  }
}

bool write_all(int descriptor, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

std::string seconds_text(double seconds) {
  std::array<char, 330> text{};  // for any double
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), seconds, std::chars_format::fixed, 6).ptr;
  return {text.data(), end};
}

int errors_as_json(bool json, ResultStream& output, const std::function<int()>& work) {
  try {
    return work();
  } catch (const Error& error) {
    if (!json) throw;
    output.write_line(
        Json{{"schema", 1}, {"error", error.to_json()}}.dump(-1, ' ', false, Json::error_handler_t::replace));
    return exit_code(error.kind());
  }
}

}  // namespace pyhost::cli
