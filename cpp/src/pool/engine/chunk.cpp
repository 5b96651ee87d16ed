// Writes the states of a chunk, and reads the lines that `pyhost map --coprocess` wrote for them.
#include "pool/engine/chunk.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <utility>

#include "error/error_json.hpp"
#include "error/json_text.hpp"
#include "pyhost/json.hpp"

namespace pyhost::detail {

namespace {

Json seconds_of(const std::optional<std::chrono::milliseconds>& time) {
  return time ? Json(std::chrono::duration<double>(*time).count()) : Json();
}

std::string_view next_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

Error no_outcome(const Job& job, std::string reason) {
  return Error({.kind = ErrorKind::WorkerCrashed,
                .phase = Phase::Run,
                .module = job.module,
                .message = "module '" + job.module + "' has no outcome: " + std::move(reason)});
}

std::optional<double> number_after(std::string_view line, std::string_view key) {
  const std::size_t at = line.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  double number = 0;
  const char* const begin = line.data() + at + key.size();
  const auto read = std::from_chars(begin, line.data() + line.size(), number);
  return read.ec == std::errc() ? std::optional(number) : std::nullopt;
}

// Delivers the outcome in a line of the coprocess. The keys of a line have a fixed order, with the result
// last, so that the result need not be parsed.
void deliver_line(Job& job, std::string_view line) {
  constexpr std::string_view succeeded = R"("status":"ok")", result = R"(,"result":)";
  const std::size_t seconds_at = line.find(R"("seconds":)");
  job.seconds = number_after(line, R"("seconds":)").value_or(0);
  const std::size_t result_at = line.find(result, std::min(seconds_at, line.size()));
  if (line.find(succeeded) < seconds_at && result_at != std::string_view::npos) {
    const std::size_t begin = result_at + result.size();
    return job.succeed(std::string(line.substr(begin, line.size() - begin - 1)));
  }
  job.fail(error_from_json(parse_json(line).at("error")));
}

}  // namespace

Json order_of(const Job& job) {
  return {{"module", job.module},
          {"timeout", seconds_of(job.options.timeout)},
          {"import_timeout", seconds_of(job.options.import_timeout)}};
}

bool can_share_chunk(const Job& one, const Job& other) {
  return one.module == other.module && one.options.timeout == other.options.timeout &&
         one.options.import_timeout == other.options.import_timeout && one.options.stop == other.options.stop;
}

// Replaces line breaks by spaces. JSON text has line breaks only between its tokens.
std::string lines_of(const Jobs& jobs) {
  std::string lines;
  for (const auto& job : jobs) {
    const std::size_t begin = lines.size();
    lines.append(job->state);
    std::replace_if(
        lines.begin() + static_cast<std::ptrdiff_t>(begin), lines.end(),
        [](char each) { return each == '\n' || each == '\r'; }, ' ');
    lines.push_back('\n');
  }
  return lines;
}

double deliver(Jobs& jobs, std::string_view answer) {
  double seconds = 0, first = 0;
  std::optional<Error> failed;
  std::string reason = "its worker returned none";
  try {
    const std::string_view head = next_line(answer);
    seconds = number_after(head, R"("seconds": )").value_or(0);
    first = number_after(head, R"("first": )").value_or(0);
    if (head.starts_with(R"({"refused")")) {
      failed = Error({.kind = ErrorKind::InvalidEngine,
                      .phase = Phase::Start,
                      .message = parse_json(head).at("refused").get<std::string>()});
    }
    while (!answer.empty()) {
      const std::string_view line = next_line(answer);
      if (line.starts_with(R"({"failed")")) {
        failed = error_from_json(parse_json(line).at("failed"));
        continue;
      }
      const double index = number_after(line, R"({"index":)").value_or(-1) - first;
      if (index < 0 || index >= static_cast<double>(jobs.size()))
        throw std::runtime_error("a line belongs to no state that was sent: " +
                                 std::string(line.substr(0, 200)));
      const std::unique_ptr<Job> job = std::move(jobs[static_cast<std::size_t>(index)]);
      if (job) deliver_line(*job, line);
    }
  } catch (const std::exception& broken) {
    reason = std::string("the output of its worker cannot be read: ") + broken.what();
  }
  for (const auto& job : jobs) {
    if (job) job->fail(failed ? *failed : no_outcome(*job, reason));
  }
  return seconds;
}

}  // namespace pyhost::detail
