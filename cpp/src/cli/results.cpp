// A line begins with the keys that --resume needs, so that it does not have to parse the results.
#include "cli/results.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>
#include <system_error>

#include "cli/errors.hpp"
#include "cli/json_text.hpp"
#include "error/json_text.hpp"
#include "pyhost/json.hpp"

namespace pyhost::cli {

namespace {

std::string_view status_of(const Outcome& outcome) {
  if (outcome.ok()) return "ok";
  switch (outcome.error->kind()) {
    case ErrorKind::InvalidState:
      return "invalid";
    case ErrorKind::TimedOut:
      return "timed_out";
    case ErrorKind::WorkerCrashed:
      return "crashed";
    default:
      return "failed";
  }
}

constexpr std::string_view beginning = "{\"index\":";

bool could_begin_a_line(const std::string& text) {
  return beginning.starts_with(std::string_view(text).substr(0, beginning.size()));
}

// Removes space and NUL bytes around the line, and the byte order mark before the first line.
std::string trimmed_line(std::string_view line, std::size_t number) {
  constexpr std::string_view mark = "\xef\xbb\xbf", blank(" \t\r\0", 4);
  if (number == 1 && line.starts_with(mark)) line.remove_prefix(mark.size());
  line.remove_prefix(std::min(line.find_first_not_of(blank), line.size()));
  return std::string(line.substr(0, line.find_last_not_of(blank) + 1));
}

struct LineKeys {
  std::size_t index = 0;
  std::string status;
  std::uint64_t hash = 0;  // of the state
  std::string code;
};

std::optional<std::uint64_t> hash_from(const std::string& text) {
  std::uint64_t hash = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, hash, 16);
  return read.ec == std::errc() && read.ptr == end ? std::optional(hash) : std::nullopt;
}

// Parses a line that another program has rewritten, with spaces or another order of the keys.
std::optional<LineKeys> keys_of_json(const std::string& line) {
  try {
    const Json parsed = detail::parse_json(line);
    const std::optional<std::uint64_t> hash = hash_from(parsed.at("hash").get<std::string>());
    if (!hash || !parsed.at("index").is_number_unsigned()) return std::nullopt;
    return LineKeys{parsed.at("index").get<std::size_t>(), parsed.at("status").get<std::string>(), *hash,
                    parsed.value("code", "")};
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

std::optional<LineKeys> keys_of(const std::string& line) {
  LineKeys keys;
  std::array<char, 17> status{};
  std::array<char, 65> code{};
  unsigned long long hash = 0;
  const int read =
      std::sscanf(line.c_str(), R"({"index":%zu,"status":"%16[a-z_]","hash":"%16llx","code":"%64[0-9a-f]")",
                  &keys.index, status.data(), &hash, code.data());
  if (read < 3) return keys_of_json(line);
  keys.status = status.data();
  keys.hash = hash;
  keys.code = code.data();
  return keys;
}

[[noreturn]] void refuse(const std::string& line, const std::string& place) {
  throw UsageError(place +
                   (!line.empty() && could_begin_a_line(line)
                        ? ": this line is damaged; delete it, so that its state is run again"
                        : ": `pyhost map` did not write this line, so --resume does not change the file"));
}

}  // namespace

void append_result_line(std::string& lines, const StateId& state, std::string_view code,
                        const Outcome& outcome) {
  constexpr std::size_t digits = 16;
  std::array<char, digits> hash{};
  const char* const end = std::to_chars(hash.data(), hash.data() + digits, state.hash, 16).ptr;
  const std::string_view hash_text(hash.data(), static_cast<std::size_t>(end - hash.data()));
  lines.append(beginning).append(std::to_string(state.index));
  lines.append(",\"status\":\"").append(status_of(outcome));
  lines.append("\",\"hash\":\"").append(digits - hash_text.size(), '0').append(hash_text);
  lines.append("\",\"code\":\"").append(code);
  lines.append("\",\"seconds\":").append(seconds_text(outcome.seconds));
  if (outcome.ok()) {
    lines.append(",\"result\":").append(*outcome.text);
  } else {
    if (outcome.error->kind() == ErrorKind::InvalidState)
      lines.append(",\"line\":").append(std::to_string(state.line));
    lines.append(",\"error\":").append(error_json(*outcome.error));
  }
  lines.append("}\n");
}

EarlierResults::EarlierResults(const std::filesystem::path& file, const std::string& name) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return;
  std::uintmax_t at = 0, whole = 0;
  std::size_t number = 0;
  for (std::string line; std::getline(stream, line);) {
    const std::string place = name + ":" + std::to_string(++number);
    at += line.size() + 1;
    const std::string text = trimmed_line(line, number);
    if (text.empty() && (!lines_.empty() || line.find('\0') != std::string::npos)) continue;
    const bool nul_within = text.find('\0') != std::string::npos;
    if (stream.eof() || nul_within) {  // an incomplete line
      if (!could_begin_a_line(text) || (!stream.eof() && stream.peek() != EOF)) refuse(text, place);
      break;
    }
    read_line(text, place);
    whole = at;
  }
  std::ranges::stable_sort(lines_, {}, &Line::index);
  std::error_code failed;
  if (std::filesystem::is_regular_file(file, failed)) std::filesystem::resize_file(file, whole, failed);
  if (failed) throw UsageError("cannot continue '" + name + "': " + failed.message());
}

void EarlierResults::read_line(const std::string& line, const std::string& place) {
  constexpr std::size_t most = 1'000'000'000'000;
  const std::optional<LineKeys> keys = line.ends_with('}') ? keys_of(line) : std::nullopt;
  if (!keys || keys->index >= most) refuse(line, place);
  lines_.push_back({keys->index, keys->status == "ok" ? keys->hash : 0, &*codes_.insert(keys->code).first});
}

const std::string* EarlierResults::code_of(const StateId& state) const {
  const auto after = std::ranges::upper_bound(lines_, state.index, {}, &Line::index);
  if (after == lines_.begin()) return nullptr;
  const Line& last = *std::prev(after);
  return last.index == state.index && last.hash == state.hash && state.hash != 0 ? last.code : nullptr;
}

std::size_t EarlierResults::count_from(std::size_t index) const {
  std::size_t count = 0, before = index;
  for (auto line = std::ranges::lower_bound(lines_, index, {}, &Line::index); line != lines_.end(); ++line) {
    if (count == 0 || line->index != before) ++count;
    before = line->index;
  }
  return count;
}

}  // namespace pyhost::cli
