// Decompresses input with Python's own modules, in a child process.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>

namespace pyhost::cli {

/// Returns "gzip" or "zstd" if a file of that format begins with these four bytes, otherwise an empty text.
std::string compression_of(std::string_view first);

/// The process that decompresses. The destructor kills it.
class Decompression {
 public:
  /// Starts the process. `first` are the bytes that were already read from the source. Throws: UsageError if
  /// the process cannot be started.
  Decompression(const std::filesystem::path& python, int source, const std::string& form,
                std::string_view first);
  ~Decompression();
  Decompression(const Decompression&) = delete;
  Decompression& operator=(const Decompression&) = delete;

  /// Returns the descriptor from which to read the decompressed bytes.
  int descriptor() const noexcept { return output_; }

  /// Waits for the end of the process. Call it after its last byte was read. Returns the error message, or an
  /// empty text if it succeeded.
  std::string end();

 private:
  int output_ = -1;
  int errors_ = -1;
  pid_t process_ = 0;
};

}  // namespace pyhost::cli
