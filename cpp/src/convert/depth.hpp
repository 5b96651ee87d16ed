// Limits the recursion of a conversion by the stack of its thread.
#pragma once

#include <cstddef>

#include "convert/convert.hpp"
#include "python/stack.hpp"

namespace pyhost::detail {

#ifdef PYHOST_SANITIZED  // sanitizers make each frame several times as large
inline constexpr std::size_t min_stack_of_conversion = 256 * 1024;
#else
inline constexpr std::size_t min_stack_of_conversion = 32 * 1024;
#endif

/// Returns whether the stack of this thread is too small to go on at this depth. Checks every eighth level
/// only, so flat values cost nothing: the minimum is far more than eight levels need. `per_level` is the
/// stack that each level so far will need again later, in bytes.
inline bool lacks_stack(int depth, std::size_t per_level = 0) noexcept {
  if (depth % 8 != 7) return false;
  return stack_left() < min_stack_of_conversion + static_cast<std::size_t>(depth) * per_level;
}

}  // namespace pyhost::detail
