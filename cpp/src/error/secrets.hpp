// Texts that no error and no log record of a module shows.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace pyhost::detail {

/// Hides the text from now on, until all are shown again. Any thread may call these.
void add_secret(std::string secret);
void clear_secrets() noexcept;

/// The text, with *** for each that is hidden: as it is, or as a URL, repr() or JSON write it.
std::string mask_secrets(std::string text);

/// More bytes than any form has of a text that is hidden; 0 if none is. Who cuts a text takes so many more,
/// so that none is cut through before it is seen.
std::size_t longest_secret();

/// The same with these instead of those that are hidden.
std::string mask(std::string text, std::vector<std::string> secrets);

}  // namespace pyhost::detail
