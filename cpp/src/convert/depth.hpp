// How deep a conversion may go: to a fixed number of levels, and as far as the stack of its thread reaches.
#pragma once

#include <cstddef>

#include "convert/convert.hpp"
#include "python/stack.hpp"

namespace pyhost::detail {

#ifdef PYHOST_SANITIZED  // with which each frame is several times as large
inline constexpr std::size_t min_stack_of_conversion = 256 * 1024;
#else
inline constexpr std::size_t min_stack_of_conversion = 32 * 1024;
#endif

/// Returns whether the thread's stack is too short to go on at this depth. Only each eighth level looks, so
/// that flat values pay nothing: the minimum is far more than eight levels take. `per_level` is what each
/// level so far will need once more, later.
inline bool lacks_stack(int depth, std::size_t per_level = 0) noexcept {
  if (depth % 8 != 7) return false;
  return stack_left() < min_stack_of_conversion + static_cast<std::size_t>(depth) * per_level;
}

}  // namespace pyhost::detail
