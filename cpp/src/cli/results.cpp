// A line begins with what --resume needs, so that it does not have to parse the results.
#include "cli/results.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>

#include "cli/errors.hpp"
#include "cli/json_text.hpp"

namespace pyhost::cli {

namespace {

std::string status_of(const Outcome& outcome) {
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

[[noreturn]] void refuse(const std::string& line, const std::string& place) {
  throw UsageError(place + (!line.empty() && could_begin_a_line(line)
                                ? ": this line is damaged: delete it, and its state is run again"
                                : ": this is no line of `pyhost map`, so --resume does not touch the file"));
}

}  // namespace

std::string result_line(const StateId& state, const Outcome& outcome) {
  std::array<char, 17> hash{};
  std::snprintf(hash.data(), hash.size(), "%016llx", static_cast<unsigned long long>(state.hash));
  std::string line = "{\"index\":" + std::to_string(state.index) + ",\"status\":\"" + status_of(outcome) +
                     "\",\"hash\":\"" + hash.data() + "\",\"seconds\":" + seconds_text(outcome.seconds);
  if (outcome.ok()) return line + ",\"result\":" + *outcome.text + "}\n";
  if (outcome.error->kind() == ErrorKind::InvalidState) line += ",\"line\":" + std::to_string(state.line);
  return line + ",\"error\":" + error_json(*outcome.error) + "}\n";
}

EarlierResults::EarlierResults(const std::filesystem::path& file, const std::string& name) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return;
  std::uintmax_t whole = 0;
  std::size_t number = 0;
  for (std::string line; std::getline(stream, line);) {
    const std::string place = name + ":" + std::to_string(++number);
    if (stream.eof()) {  // no newline: the line is incomplete
      if (!could_begin_a_line(line)) refuse(line, place);
      break;
    }
    read_line(line, place);
    whole += line.size() + 1;
  }
  std::ranges::stable_sort(lines_, {}, &Line::index);
  std::error_code failed;
  if (std::filesystem::is_regular_file(file, failed)) std::filesystem::resize_file(file, whole, failed);
  if (failed) throw UsageError("cannot go on with '" + name + "': " + failed.message());
}

void EarlierResults::read_line(const std::string& line, const std::string& place) {
  constexpr std::size_t most = 1'000'000'000'000;
  std::size_t index = most;
  std::array<char, 17> status{};
  unsigned long long hash = 0;
  const int read = std::sscanf(line.c_str(), R"({"index":%zu,"status":"%16[a-z_]","hash":"%16llx")", &index,
                               status.data(), &hash);
  if (read != 3 || index >= most || line.back() != '}') {
    refuse(line, place);
  }
  lines_.push_back({index, std::strcmp(status.data(), "ok") == 0 ? hash : 0});
}

bool EarlierResults::contains(const StateId& state) const {
  const auto after = std::ranges::upper_bound(lines_, state.index, {}, &Line::index);
  if (after == lines_.begin()) return false;
  const Line& last = *std::prev(after);
  return last.index == state.index && last.hash == state.hash && state.hash != 0;
}

}  // namespace pyhost::cli
