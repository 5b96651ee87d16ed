// The memory of a worker process: its limit, and how much it uses.
#pragma once

#include <cstddef>

namespace pyhost::detail {

/// Limits the address space to its current size plus this number of bytes.
void limit_memory(std::size_t bytes);

/// Returns the number of bytes of this process that are in physical memory.
std::size_t resident_memory();

}  // namespace pyhost::detail
