// How much of a thread's stack is left: recursion that ends in time is an error, and not the end of the
// process.
#pragma once

#include <cstddef>

namespace pyhost::detail {

/// Returns how many bytes of this thread's stack are left. The number is unlimited if this code runs on
/// another stack than the thread's own, as in a coroutine library. The first call on a thread takes
/// microseconds.
std::size_t stack_left() noexcept;

}  // namespace pyhost::detail
