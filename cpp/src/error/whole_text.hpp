// Writes a text in one piece, even if other threads and processes of pyhost write to the same file.
#pragma once

#include <string_view>

namespace pyhost::detail {

/// Writes the text to the descriptor, and removes the written part from `text`. Texts that other threads or
/// processes write with this function do not come in between, unless a signal interrupts it. Blocks even if
/// the descriptor is non-blocking. Returns 0 or the errno, which may be EINTR.
int write_whole(int descriptor, std::string_view& text) noexcept;

}  // namespace pyhost::detail
