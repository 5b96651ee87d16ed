// Runs pyhost/_decompress.py in a child process.
#include "cli/decompression.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "cli/errors.hpp"
#include "pyhost/host.hpp"

namespace pyhost::cli {

namespace {

std::string hex(std::string_view bytes) {
  std::string text;
  std::array<char, 3> digits{};
  for (const char byte : bytes) {
    std::snprintf(digits.data(), digits.size(), "%02x", static_cast<unsigned char>(byte));
    text += digits.data();
  }
  return text;
}

}  // namespace

std::string compression_of(std::string_view first) {
  if (first.starts_with("\x1f\x8b")) return "gzip";
  return first.starts_with("\x28\xb5\x2f\xfd") ? "zstd" : "";
}

// The process gets its own process group. Otherwise Ctrl-C would end it too early, when states must still be
// read.
Decompression::Decompression(const std::filesystem::path& python, int source, const std::string& form,
                             std::string_view first) {
  std::array<int, 2> ends{-1, -1};
  errors_ = memfd_create("errors", MFD_CLOEXEC);
  if (errors_ < 0 || pipe2(ends.data(), O_CLOEXEC) != 0)
    throw UsageError(std::string("cannot decompress: ") + std::strerror(errno));
  output_ = ends[0];
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, source, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors_, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  const std::string script = Host::python_modules() / "pyhost" / "_decompress.py", bytes = hex(first);
  const std::array<const char*, 6> words{python.c_str(), "-I",          script.c_str(),
                                         form.c_str(),   bytes.c_str(), nullptr};
  const int failed = posix_spawn(&process_, python.c_str(), &actions, &attributes,
                                 const_cast<char* const*>(words.data()), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (failed == 0) return;
  process_ = 0;
  throw UsageError("cannot decompress: cannot start '" + python.string() + "': " + std::strerror(failed));
}

Decompression::~Decompression() {
  if (process_ != 0) {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
  }
  close(output_);
  close(errors_);
}

std::string Decompression::end() {
  if (process_ == 0) return {};
  int status = 0;
  while (waitpid(process_, &status, 0) < 0 && errno == EINTR) continue;
  process_ = 0;
  if (status == 0) return {};
  std::array<char, 4096> text{};
  const ssize_t size = pread(errors_, text.data(), text.size(), 0);
  std::string problem(text.data(), static_cast<std::size_t>(size < 0 ? 0 : size));
  problem.erase(problem.find_last_not_of('\n') + 1);
  return problem.empty() ? "the process that decompresses them ended early" : problem;
}

}  // namespace pyhost::cli
