// One part of many: which states this machine makes, if several share the work.
#pragma once

#include <cstddef>
#include <string>

namespace pyhost::cli {

/// Every `of`-th state, from the one with index `number` on.
struct Shard {
  std::size_t number = 0;
  std::size_t of = 1;
  bool has(std::size_t index) const noexcept { return index % of == number; }
};

/// From "2/4", the second of four; "auto" reads what Slurm's job arrays and Kubernetes' indexed jobs set.
/// Throws UsageError.
Shard shard_from(const std::string& text);

}  // namespace pyhost::cli
