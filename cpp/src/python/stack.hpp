// The free stack of a thread. Recursion checks it, to fail with an error instead of a crash.
#pragma once

#include <cstddef>

namespace pyhost::detail {

/// Returns the free bytes of this thread's stack. Returns the maximum if this code runs on another stack than
/// the thread's own, as in a coroutine library. The first call on a thread takes microseconds.
std::size_t stack_left() noexcept;

}  // namespace pyhost::detail
