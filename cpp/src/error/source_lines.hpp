// Lines of source files, read by C++, so that nothing a module did to Python's own reading gets in the way.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace pyhost::detail {

/// Reads each file once for as long as it lives.
class SourceFiles {
 public:
  /// The line, from 1, as valid UTF-8 without what ends it, cut at 200 characters. Empty if the file has no
  /// such line, is no regular file, or is larger than 4 MiB.
  std::string line(const std::string& file, int number);

 private:
  std::map<std::string, std::vector<std::string>> files_;
};

/// A line as people are shown it: valid UTF-8, cut, without what ends it.
std::string shown_line(std::string_view text);

/// The column, in characters from 1, of a byte of a shown line; 0 if it is beyond the line.
int column_of_byte(std::string_view line, int byte);

}  // namespace pyhost::detail
