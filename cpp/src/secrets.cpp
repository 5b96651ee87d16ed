// A list, since few are hidden; most hosts have none, and for them it costs a look at its size.
#include "secrets.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

namespace pyhost::detail {

namespace {

struct Secrets {
  std::mutex mutex;  // interpreters have a GIL each
  std::vector<std::string> all;
  std::atomic<bool> none = true;
};

// Never destroyed: errors are told until the process ends.
Secrets& secrets() {
  static auto* const kept = new Secrets;
  return *kept;
}

}  // namespace

void hide(std::string secret) {
  const std::lock_guard lock(secrets().mutex);
  std::vector<std::string>& all = secrets().all;
  if (secret.empty() || std::ranges::find(all, secret) != all.end()) return;
  all.push_back(std::move(secret));
  secrets().none = false;
}

void show_secrets() noexcept {
  const std::lock_guard lock(secrets().mutex);
  secrets().all.clear();
  secrets().none = true;
}

std::string without_secrets(std::string text) {
  if (secrets().none) return text;
  constexpr std::string_view instead = "***";
  const std::lock_guard lock(secrets().mutex);
  for (const std::string& secret : secrets().all) {
    for (std::size_t at = 0; (at = text.find(secret, at)) != std::string::npos; at += instead.size()) {
      text.replace(at, secret.size(), instead);
    }
  }
  return text;
}

}  // namespace pyhost::detail
