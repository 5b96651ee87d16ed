// Writing to files and descriptors.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace pyhost::cli {

/// Returns the current folder as it was at the first call, which main() makes: modules may change it.
const std::filesystem::path& start_folder();

/// Returns the file that a path of the command line names. An empty path stays empty.
std::filesystem::path absolute_path(const std::string& file);

/// Throws: UsageError if the file that `option` names cannot be written, as far as that is known without
/// opening it.
void check_writable(const std::string& file, const std::string& option);

/// Writes all of the text, in one write if possible. On failure returns false and sets errno.
bool write_all(int descriptor, std::string_view text) noexcept;

}  // namespace pyhost::cli
