// Log records on stderr, for people or as one JSON document a line.
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <utility>

#include "cli/command.hpp"
#include "cli/configuration.hpp"
#include "cli/result_stream.hpp"
#include "cli/terminal.hpp"
#include "pyhost/host.hpp"
#include "pyhost/log.hpp"

namespace pyhost::cli {

namespace {

const std::vector<std::pair<std::string, LogLevel>> levels{
    {"debug", LogLevel::Debug}, {"info", LogLevel::Info},         {"warning", LogLevel::Warning},
    {"error", LogLevel::Error}, {"critical", LogLevel::Critical}, {"off", LogLevel::Off}};

const char* colour_of(LogLevel level) {
  switch (level) {
    case LogLevel::Debug:
      return "\x1b[36m";
    case LogLevel::Info:
      return "\x1b[32m";
    case LogLevel::Warning:
      return "\x1b[33m\x1b[1m";
    case LogLevel::Error:
      return "\x1b[31m\x1b[1m";
    case LogLevel::Critical:
    case LogLevel::Off:
      break;
  }
  return "\x1b[1m\x1b[41m";
}

// "09:30:00.123", in local time
std::string clock_time(std::chrono::system_clock::time_point time) {
  const auto since_epoch = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
  const std::time_t whole = seconds.count();
  std::tm local{};
  localtime_r(&whole, &local);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%02d:%02d:%02d.%03d", local.tm_hour, local.tm_min, local.tm_sec,
                static_cast<int>((since_epoch - seconds).count()));
  return text.data();
}

std::string dumped(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// "quote: no market {"symbol":"ABC"}", and below it the exception that was logged with it.
std::string line_of(const LogRecord& record) {
  std::string line = record.logger + ": " + record.message;
  if (!record.fields.empty()) line += " " + dumped(record.fields);
  if (record.dropped > 0) line += " (" + std::to_string(record.dropped) + " before it were dropped)";
  line = inert(line);
  if (!record.error) return line;
  line += "\n" + record.error->rendered();
  return line.substr(0, line.find_last_not_of('\n') + 1);
}

std::string text_line(const LogRecord& record, bool colour) {
  const std::string level(record.level >= LogLevel::Off ? "critical" : to_string(record.level));
  return clock_time(record.time) + " " + (colour ? colour_of(record.level) + level + "\x1b[m" : level) + " " +
         line_of(record) + "\n";
}

}  // namespace

void add_log_arguments(CLI::App& command, LogArguments& arguments) {
  std::vector<std::string> names;
  for (const auto& each : levels) names.push_back(each.first);
  command
      .add_option(
          "--log-level", arguments.level,
          "Write what modules log from this level on to stderr: debug, info, warning, error, critical, off")
      ->check(CLI::IsMember(names))
      ->envname("PYHOST_LOG_LEVEL");
  command
      .add_option("--log-format", arguments.format,
                  "How: text, or json with one document a line; without both options, as under python3")
      ->check(CLI::IsMember({"text", "json"}))
      ->envname("PYHOST_LOG_FORMAT");
}

void set_log(Options& options, const LogArguments& given) {
  LogArguments arguments = given;
  const Configuration& file = configuration();
  if (arguments.level.empty()) arguments.level = file.log_level;
  if (arguments.format.empty()) arguments.format = file.log_format;
  if (arguments.level.empty() && arguments.format.empty()) return;
  for (const auto& [name, level] : levels) {
    if (name == arguments.level) options.log_level = level;
  }
  const bool json = arguments.format == "json";
  const bool colour = colour_wanted(STDERR_FILENO);
  // One write for each record, so that lines of several processes do not mix. A record that cannot be written
  // is dropped.
  options.on_log = [json, colour](const LogRecord& record) {
    write_all(STDERR_FILENO, json ? dumped(record.to_json()) + "\n" : text_line(record, colour));
  };
}

void say_dropped_logs(Host& host) {
  host.flush_logs();
  if (const std::uint64_t dropped = host.dropped_logs(); dropped > 0) {
    std::cerr << "warning: " << dropped
              << " log records were dropped, because they came faster than they could be "
              << "written\n";
  }
}

}  // namespace pyhost::cli
