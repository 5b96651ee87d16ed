// Masks secrets in errors and log records.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace pyhost::detail {

/// Start and stop masking secrets. Thread: any.
void add_secret(std::string secret);
void clear_secrets() noexcept;

/// Returns the text with *** in place of each secret, in any form that a URL, repr() or JSON may give it.
std::string mask_secrets(std::string text);

/// Returns an upper limit for the length of any form of a secret, in bytes; 0 if there are no secrets. Code
/// that cuts a text must first mask this many bytes more than it keeps. Otherwise a secret could be cut in
/// two and not be recognized.
std::size_t longest_secret();

/// Like mask_secrets(), with these secrets instead.
std::string mask(std::string text, std::vector<std::string> secrets);

}  // namespace pyhost::detail
