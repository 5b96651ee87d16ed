// Texts that no error and no log record of a module shows.
#pragma once

#include <string>

namespace pyhost::detail {

/// Hides the text from now on, until all are shown again. Any thread may call these three.
void hide(std::string secret);
void show_secrets() noexcept;

/// The text, with *** for each that is hidden.
std::string without_secrets(std::string text);

}  // namespace pyhost::detail
