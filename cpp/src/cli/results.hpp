// The result lines of `pyhost map`, one for each state, and how --resume reads them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cli/states.hpp"
#include "pyhost/runs.hpp"

namespace pyhost::cli {

/// Identifies a state until its outcome arrives.
struct StateId {
  std::size_t index = 0;
  std::size_t line = 0;
  std::uint64_t hash = 0;
};

/// Appends {"index":0,"status":"ok","hash":"…","code":"…","seconds":0.01,"result":…} and a newline. The
/// status is "ok", "failed", "invalid", "timed_out" or "crashed". Unless it is "ok", there is an "error"
/// instead of a "result". If it is "invalid", there is also the "line". `code` is the version of the modules.
void append_result_line(std::string& lines, const StateId& state, std::string_view code,
                        const Outcome& outcome);

/// The states that already have a result, from an earlier call.
class EarlierResults {
 public:
  EarlierResults() = default;
  EarlierResults(EarlierResults&&) = default;
  EarlierResults& operator=(EarlierResults&&) = default;

  /// Reads the file of the earlier call, if it exists, and cuts off what a crash or an editor left after the
  /// last complete line: half a line, NUL bytes, blank lines. Throws: UsageError if the file contains
  /// anything else. `name` is what messages call the file.
  EarlierResults(const std::filesystem::path& file, const std::string& name);

  /// Returns the version of the modules that made the result with this index and hash, that is, of the same
  /// module and state, or null if there is no such result.
  const std::string* code_of(const StateId& state) const;

  /// Returns how many states have a result with this index or a later one.
  std::size_t count_from(std::size_t index) const;

 private:
  void read_line(const std::string& line, const std::string& place);

  struct Line {
    std::size_t index;
    std::uint64_t hash;  // 0 if the status is not "ok"
    const std::string* code;
  };
  std::set<std::string> codes_;
  std::vector<Line> lines_;  // sorted by index; if several have the same index, the last one wins
};

}  // namespace pyhost::cli
