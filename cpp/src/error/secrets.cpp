// The secrets are a list, because there are few. Most hosts have none, and pay only for one check.
#include "error/secrets.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "error/utf8.hpp"

namespace pyhost::detail {

namespace {

constexpr std::size_t longest_form = 8;  // of one byte, for example \\\u0027

struct Secrets {
  std::mutex mutex;              // interpreters with their own GIL share the list
  std::vector<std::string> all;  // the longest first, because one secret may begin with another
  std::atomic<bool> none = true;
};

// Never destroyed, because errors are reported until the process ends.
Secrets& secrets() {
  static auto* const all = new Secrets;
  return *all;
}

bool is_longer(const std::string& a, const std::string& b) { return a.size() > b.size(); }

// Returns the number that the first `digits` hexadecimal digits of the text represent.
std::optional<char32_t> number(std::string_view text, std::size_t digits) {
  unsigned value = 0;
  if (text.size() < digits) return std::nullopt;
  const auto read = std::from_chars(text.data(), text.data() + digits, value, 16);
  return read.ptr == text.data() + digits ? std::optional<char32_t>(value) : std::nullopt;
}

std::size_t skip_backslashes(std::string_view text, std::size_t at) {
  while (at < text.size() && text[at] == '\\') ++at;
  return at;
}

// Returns how many bytes at the beginning of the text, which follows a backslash, are an escape of this
// character. Returns 0 if they are not. An escape is n, xe9, u00e9 or U000000e9, or a surrogate pair as in
// JSON.
std::size_t escape_of(std::string_view text, char32_t character) {
  constexpr std::string_view letters = "nrt", controls = "\n\r\t", kinds = "xuU";
  if (text.empty()) return 0;
  if (const std::size_t at = letters.find(text[0]); at != std::string_view::npos)
    return character == static_cast<unsigned char>(controls[at]) ? 1 : 0;
  const std::size_t kind = kinds.find(text[0]);
  if (kind == std::string_view::npos) return 0;
  const std::size_t size = std::size_t{2} << kind;
  const std::optional<char32_t> code = number(text.substr(1), size);
  if (!code || *code == character) return code ? 1 + size : 0;
  if (*code < 0xd800 || *code >= 0xdc00) return 0;
  const std::size_t low = skip_backslashes(text, 1 + size);
  const auto rest = low < text.size() && text[low] == 'u' ? number(text.substr(low + 1), 4) : std::nullopt;
  return rest && character == 0x10000 + ((*code - 0xd800) << 10U) + (*rest - 0xdc00) ? low + 5 : 0;
}

// Returns how many bytes at the beginning of the text are this secret; 0 if they are not. Backslashes are
// skipped, because each nested repr() doubles them. A character such as % can match both literally and as the
// beginning of an escape. `prefers_form` chooses the escape.
std::size_t length_of(std::string_view text, std::string_view secret, bool prefers_form) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < secret.size();) {
    const char byte = secret[i];
    const std::size_t begin = std::exchange(at, skip_backslashes(text, at));
    const std::string_view rest = text.substr(at);
    const bool in_url =
        rest.starts_with('%') && number(rest.substr(1), 2) == static_cast<unsigned char>(byte);
    const Character character = first_character(secret.substr(i));
    const std::size_t escape = at > begin ? escape_of(rest, character.code) : 0;
    const bool as_it_is = rest.starts_with(byte);
    if (as_it_is && (!prefers_form || (!in_url && escape == 0))) {
      ++at, ++i;
    } else if (in_url) {
      at += 3, ++i;
    } else if (escape > 0) {
      at += escape, i += character.size;
    } else if (byte == ' ' && rest.starts_with('+')) {
      ++at, ++i;
    } else if (byte == '\\') {
      ++i;
    } else {
      return 0;
    }
  }
  return at;
}

// Replaces the secrets, which must be sorted with the longest first.
std::string replaced(std::string text, const std::vector<std::string>& all) {
  constexpr std::string_view instead = "***";
  for (const std::string& secret : all) {
    if (secret.empty()) continue;
    const char starts[] = {secret.front(), '%', '\\', '+', '\0'};
    std::string kept;
    std::size_t done = 0;
    for (std::size_t at = 0; (at = text.find_first_of(starts, at)) != std::string::npos;) {
      const std::string_view rest = std::string_view(text).substr(at);
      const std::size_t size = std::max(length_of(rest, secret, false), length_of(rest, secret, true));
      if (size != 0) kept.append(text, done, at - done).append(instead);
      at += size != 0 ? size : std::max<std::size_t>(1, skip_backslashes(rest, 0));
      if (size != 0) done = at;
    }
    if (done != 0) text = kept.append(text, done);
  }
  return text;
}

}  // namespace

void add_secret(std::string secret) {
  const std::lock_guard lock(secrets().mutex);
  std::vector<std::string>& all = secrets().all;
  if (secret.empty() || std::ranges::find(all, secret) != all.end()) return;
  all.insert(std::ranges::upper_bound(all, secret, is_longer), std::move(secret));
  secrets().none = false;
}

void clear_secrets() noexcept {
  const std::lock_guard lock(secrets().mutex);
  secrets().all.clear();
  secrets().none = true;
}

std::string mask_secrets(std::string text) {
  if (secrets().none) return text;
  const std::lock_guard lock(secrets().mutex);
  return replaced(std::move(text), secrets().all);
}

std::size_t longest_secret() {
  if (secrets().none) return 0;
  const std::lock_guard lock(secrets().mutex);
  const std::vector<std::string>& all = secrets().all;
  return all.empty() ? 0 : all.front().size() * longest_form;
}

std::string mask(std::string text, std::vector<std::string> secrets) {
  std::ranges::sort(secrets, is_longer);
  return replaced(std::move(text), secrets);
}

}  // namespace pyhost::detail
