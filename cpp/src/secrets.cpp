// A list, since few are hidden; most hosts have none, and for them it costs a look at its size.
#include "secrets.hpp"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace pyhost::detail {

namespace {

// Guarded by the GIL. Never destroyed: errors are told until the process ends.
std::vector<std::string>& secrets() {
  static auto* const kept = new std::vector<std::string>;
  return *kept;
}

}  // namespace

void hide(std::string secret) {
  if (!secret.empty() && std::ranges::find(secrets(), secret) == secrets().end())
    secrets().push_back(std::move(secret));
}

void show_secrets() noexcept { secrets().clear(); }

std::string without_secrets(std::string text) {
  constexpr std::string_view instead = "***";
  for (const std::string& secret : secrets()) {
    for (std::size_t at = 0; (at = text.find(secret, at)) != std::string::npos; at += instead.size()) {
      text.replace(at, secret.size(), instead);
    }
  }
  return text;
}

}  // namespace pyhost::detail
