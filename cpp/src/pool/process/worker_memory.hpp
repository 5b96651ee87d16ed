// The memory of a worker process: its limit, and how much it uses.
#pragma once

#include <cstddef>

namespace pyhost::detail {

/// Limits the address space to what is mapped now and so many bytes more.
void limit_memory(std::size_t bytes);

/// How many bytes of this process are in physical memory.
std::size_t resident_memory();

}  // namespace pyhost::detail
