// Texts that no other writer of pyhost divides, in whatever thread or process it is.
#pragma once

#include <string_view>

namespace pyhost::detail {

/// Writes the text to the descriptor, and removes from it what was written. Nothing else that is written by
/// this function, by any process, comes in between, unless a signal interrupts it. Waits where the descriptor
/// does not block. Returns 0 or the errno, also EINTR.
int write_whole(int descriptor, std::string_view& text) noexcept;

}  // namespace pyhost::detail
