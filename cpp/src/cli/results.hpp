// The lines that `pyhost map` writes, one for each state, and what is read of them to go on later.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/states.hpp"
#include "pyhost/runs.hpp"

namespace pyhost::cli {

/// What is kept of a state until its outcome is there.
struct StateMark {
  std::size_t index = 0;
  std::size_t line = 0;
  std::uint64_t hash = 0;
};

/// "ok", "failed", "invalid" for a state that is none, "timed_out" or "crashed".
std::string status_of(const Outcome& outcome);

/// {"index":0,"status":"ok","hash":"…","seconds":0.01,"result":…}, or with "error", and "line" if the state
/// is none; ends with a newline.
std::string line_of(const StateMark& state, const Outcome& outcome);

/// Which states have a result already.
class Results {
 public:
  Results() = default;

  /// Reads what an earlier call has written; there may be no file yet. A last line that is half-written is
  /// cut off the file. Throws UsageError if it holds something else.
  explicit Results(const std::string& file);

  /// Whether there is a result of this very state, and of the module whose name is in the hash.
  bool has(std::size_t index, std::uint64_t hash) const;

 private:
  void read_line(const std::string& line, const std::string& place);

  struct Line {
    std::size_t index;
    std::uint64_t hash;  // 0 if there is no result
  };
  std::vector<Line> lines_;  // by index; of several with one index the last one counts
};

}  // namespace pyhost::cli
