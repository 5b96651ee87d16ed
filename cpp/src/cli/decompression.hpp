// Compressed input, which Python's own modules decompress in a child process.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>

namespace pyhost::cli {

/// Returns "gzip" or "zstd" if that is what begins with these four bytes, otherwise an empty text.
std::string compression_of(std::string_view first);

/// Decompresses while it exists.
class Decompression {
 public:
  /// `first` was read from the source before. Throws: UsageError if the process cannot be started.
  Decompression(const std::filesystem::path& python, int source, const std::string& form,
                std::string_view first);
  ~Decompression();
  Decompression(const Decompression&) = delete;
  Decompression& operator=(const Decompression&) = delete;

  /// Returns where to read the decompressed bytes.
  int descriptor() const noexcept { return output_; }

  /// Waits for the process after its last byte was read. Returns what went wrong, or an empty text.
  std::string end();

 private:
  int output_ = -1;
  int errors_ = -1;
  pid_t process_ = 0;
};

}  // namespace pyhost::cli
