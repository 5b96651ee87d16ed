// Reads states from a file or a pipe, one at a time: JSON lines or the elements of one JSON array, which may
// be compressed.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cli/decompression.hpp"

namespace pyhost::cli {

/// One state as it is written in the file. It is not checked: it may not be valid JSON.
struct StateText {
  std::string text;
  std::size_t index;  ///< From 0; empty lines do not count.
  std::size_t line;   ///< The line where it begins, from 1.
};

/// Returns a hash that identifies a run: 64-bit FNV-1a of the module's name, a newline and the text of the
/// state. Files of results contain it, so it must never change.
std::uint64_t state_hash(std::string_view module, std::string_view text) noexcept;

/// The input of `pyhost map`. Reads only as far as needed for the next state.
/// Thread: next() on one thread, all other functions on any thread.
class States {
 public:
  /// Opens the file, or for `-` takes stdin from the process: see take_stdin(). Throws: UsageError if the
  /// file cannot be read.
  explicit States(const std::string& file);
  ~States();
  States(const States&) = delete;
  States& operator=(const States&) = delete;

  /// Sets the python that decompresses states in gzip or zstd. Call it before the first next().
  void decompress_by(std::filesystem::path python) { python_ = std::move(python); }

  /// Sets the format to JSON lines, without looking at the input. Then next() returns the first line as soon
  /// as it arrives. Call it before the first next().
  void expect_lines() noexcept { form_ = Form::Lines; }

  /// Returns whether the states come from this file, to which nothing must be written then. Always false for
  /// a pipe or a terminal.
  bool are_in(const std::string& file) const;
  bool are_in(int descriptor) const noexcept;

  /// Returns the next state, or nothing at the end of the input and after stop(). Throws: UsageError with the
  /// line number if the input is neither lines nor one complete array.
  std::optional<StateText> next();

  /// Makes a next() that waits for input, and all later ones, return nothing. Safe in a signal handler.
  void stop() noexcept;

  /// Returns how much of the input was read, from 0 to 1, or nothing if the size of the input is unknown.
  std::optional<double> fraction_read() const noexcept;

 private:
  enum class Form { Unknown, Lines, Array, Ended };

  bool fill(std::size_t most);
  bool fill();
  void refuse_utf_16() const;
  void refuse_object_over_lines(const std::string& first_line);
  std::optional<char> peek();  // returns nothing at the end of the input
  void skip_space();
  void begin();
  std::string read_line();
  std::string read_element();
  void end_array();
  [[noreturn]] void refuse(const std::string& problem) const;

  std::string file_;
  std::filesystem::path python_;
  std::optional<Decompression> decompression_;
  int descriptor_;
  int stopped_;  // an eventfd
  std::atomic<bool> decompresses_ = false;
  std::uint64_t size_ = 0;
  dev_t device_ = 0;  // device_ and inode_ are 0 unless the input is a regular file
  ino_t inode_ = 0;
  std::atomic<std::uint64_t> read_ = 0;
  std::string buffer_;
  std::size_t at_ = 0;  // position in buffer_
  std::size_t line_ = 1;
  std::size_t next_index_ = 0;
  Form form_ = Form::Unknown;
};

}  // namespace pyhost::cli
