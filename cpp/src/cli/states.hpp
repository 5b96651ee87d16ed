// States from a file or a pipe, one after the other: JSON lines, or the elements of one JSON array.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pyhost::cli {

/// One state as the file has it: whether it is JSON is for others to say.
struct StateText {
  std::string text;
  std::size_t index;  ///< From 0; empty lines do not count.
  std::size_t line;   ///< On which it begins, from 1.
};

/// A stable hash of a module's run with a state: 64-bit FNV-1a of the module's name, a newline and the text.
std::uint64_t hash_of(std::string_view module, std::string_view text) noexcept;

/// Reads no more at once than it has to. One thread reads; any may ask where it is, and stop it.
class States {
 public:
  /// `-` is stdin. Throws UsageError for a file that cannot be read.
  explicit States(const std::string& file);
  ~States();
  States(const States&) = delete;
  States& operator=(const States&) = delete;

  /// Whether that is the very file that they come from: nobody should write there. Never of a pipe or
  /// terminal.
  bool are_in(const std::string& file) const;
  bool are_in(int descriptor) const noexcept;

  /// The next state; nothing at the end, or once it was stopped. Throws UsageError with the line if what is
  /// read is neither lines nor an array that ends.
  std::optional<StateText> next();

  /// Ends a next() that waits for input, and all later ones. Also for signal handlers.
  void stop() noexcept;

  /// How much of the input the states so far have taken, from 0 to 1; nothing if its size is not known.
  std::optional<double> part_read() const noexcept;

 private:
  enum class Form { Unknown, Lines, Array, Ended };

  bool fill();
  std::optional<char> peek();  // nothing at the end
  void skip_space();
  void begin();
  std::string read_line();
  std::string read_element();
  void end_array();
  [[noreturn]] void refuse(const std::string& problem) const;

  std::string file_;
  int descriptor_;
  int stopped_;  // an eventfd
  std::uint64_t size_ = 0;
  dev_t device_ = 0;  // and inode, of a regular file
  ino_t inode_ = 0;
  std::atomic<std::uint64_t> read_ = 0;
  std::string buffer_;
  std::size_t at_ = 0;  // in it
  std::size_t line_ = 1;
  std::size_t next_index_ = 0;
  Form form_ = Form::Unknown;
};

}  // namespace pyhost::cli
