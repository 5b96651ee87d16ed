// Writes to files and descriptors.
#include "cli/files.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "cli/errors.hpp"

namespace pyhost::cli {

const std::filesystem::path& start_folder() {
  static std::error_code failed;
  static const std::filesystem::path folder = std::filesystem::current_path(failed);
  return folder;
}

std::filesystem::path absolute_path(const std::string& file) {
  return file.empty() ? std::filesystem::path() : start_folder() / file;
}

// Checked before the run: a result that took an hour must not be lost because of a typo in a folder's name.
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

}  // namespace pyhost::cli
