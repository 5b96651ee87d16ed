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
/// status is "ok", "failed", "invalid", "timed_out" or "crashed". If it is not "ok", "error" replaces
/// "result". If it is "invalid", "line" is added. `code` is the version of the modules.
void append_result_line(std::string& lines, const StateId& state, std::string_view code,
                        const Outcome& outcome);

/// The states that already have a result from an earlier call of `pyhost map`.
class EarlierResults {
 public:
  EarlierResults() = default;
  EarlierResults(EarlierResults&&) = default;
  EarlierResults& operator=(EarlierResults&&) = default;

  /// Reads the file of the earlier call, if it exists. Cuts off anything that a crash or an editor left after
  /// the last complete line: an incomplete line, NUL bytes, blank lines. Throws: UsageError if the file
  /// contains anything else; the message calls the file `name`.
  EarlierResults(const std::filesystem::path& file, const std::string& name);

  /// Returns the version of the modules that made the state's result, or null if there is no result with its
  /// index and hash.
  const std::string* code_of(const StateId& state) const;

  /// Returns how many states with this index or a later one have a result.
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
