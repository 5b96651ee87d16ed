// Writing to files and descriptors.
#pragma once

#include <string>
#include <string_view>

namespace pyhost::cli {

/// Throws: UsageError if the file that `option` names cannot be written, as far as that is known without
/// opening it.
void check_writable(const std::string& file, const std::string& option);

/// Writes all of the text, in one write if possible. On failure returns false and sets errno.
bool write_all(int descriptor, std::string_view text) noexcept;

}  // namespace pyhost::cli
