// Reads lines of source files in C++, so a module that replaces Python's own functions for that cannot
// interfere.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace pyhost::detail {

/// Caches each file for its own lifetime.
class SourceFiles {
 public:
  /// Returns a line as valid UTF-8, without its line end, cut at 200 characters. Lines count from 1. Empty if
  /// the file has no such line, is not a regular file, or is larger than 4 MiB.
  std::string line(const std::string& file, int number);

 private:
  std::map<std::string, std::vector<std::string>> files_;
};

/// Returns a line as errors show it: valid UTF-8, cut at 200 characters, without its line end.
std::string shown_line(std::string_view text);

/// Returns the column of a byte of such a line, in characters from 1; 0 if the byte is beyond the line.
int column_of_byte(std::string_view line, int byte);

}  // namespace pyhost::detail
