// The result lines of `pyhost map`, one for each state, and how --resume reads them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
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

/// Returns {"index":0,"status":"ok","hash":"…","seconds":0.01,"result":…} and a newline. The status is "ok",
/// "failed", "invalid", "timed_out" or "crashed". Unless it is "ok", there is an "error" instead of a
/// "result". If it is "invalid", there is also the "line".
std::string result_line(const StateId& state, const Outcome& outcome);

/// The states that already have a result, from an earlier call.
class EarlierResults {
 public:
  EarlierResults() = default;

  /// Reads the file of the earlier call, if it exists, and cuts off a last line that is incomplete. Throws:
  /// UsageError if the file contains anything else.
  /// `name` is what messages call the file.
  EarlierResults(const std::filesystem::path& file, const std::string& name);

  /// Returns whether there is a result with this index and hash, that is, of the same module and state.
  bool contains(const StateId& state) const;

 private:
  void read_line(const std::string& line, const std::string& place);

  struct Line {
    std::size_t index;
    std::uint64_t hash;  // 0 if the status is not "ok"
  };
  std::vector<Line> lines_;  // sorted by index; if several have the same index, the last one wins
};

}  // namespace pyhost::cli
