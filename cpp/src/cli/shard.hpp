// The part of the states that this machine runs, if several machines share the work.
#pragma once

#include <cstddef>
#include <string>

namespace pyhost::cli {

/// Every `of`-th state, starting with index `number`.
struct Shard {
  std::size_t number = 0;
  std::size_t of = 1;
  bool contains(std::size_t index) const noexcept { return index % of == number; }
};

/// Parses "2/4", the second of four parts, or "auto", which reads the variables of Slurm's job arrays and
/// Kubernetes' indexed jobs. An empty text means all states. Throws: UsageError.
Shard parse_shard(const std::string& text);

}  // namespace pyhost::cli
