// Formats log records.
#include "cli/log_output.hpp"

#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <string>

#include "cli/arguments.hpp"
#include "cli/configuration.hpp"
#include "cli/files.hpp"
#include "cli/status_line.hpp"
#include "cli/terminal.hpp"
#include "error/json_text.hpp"
#include "error/utf8.hpp"
#include "pyhost/host.hpp"
#include "pyhost/log.hpp"

namespace pyhost::cli {

namespace {

LogLevel level_from(const std::string& name) {
  for (const LogLevel level :
       {LogLevel::Debug, LogLevel::Info, LogLevel::Error, LogLevel::Critical, LogLevel::Off}) {
    if (to_string(level) == name) return level;
  }
  return LogLevel::Warning;
}

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

// "quote: no market {"symbol":"ABC"}", and below it the exception that was logged with it.
std::string message_of(const LogRecord& record) {
  std::string text = record.logger + ": " + record.message;
  if (!record.fields.empty()) text += " " + detail::json_text_with_replacements(record.fields);
  if (record.dropped > 0) text += " (" + std::to_string(record.dropped) + " earlier records were dropped)";
  text = detail::terminal_safe_line(text);
  if (!record.error) return text;
  text += "\n" + record.error->rendered();
  return text.substr(0, text.find_last_not_of('\n') + 1);
}

std::string text_line(const LogRecord& record, bool colour) {
  const std::string level(record.level >= LogLevel::Off ? "critical" : to_string(record.level));
  return clock_time(record.time) + " " + (colour ? colour_of(record.level) + level + "\x1b[m" : level) + " " +
         message_of(record) + "\n";
}

}  // namespace

void log_to_stderr(Options& options, const LogArguments& arguments, StatusLine* line) {
  const Configuration& file = configuration();
  const std::string level = arguments.level.empty() ? file.log_level : arguments.level;
  const std::string format = arguments.format.empty() ? file.log_format : arguments.format;
  if (level.empty() && format.empty()) return;
  if (!level.empty()) options.logging.level = level_from(level);
  const bool json = format == "json";
  const bool colour = use_colour(STDERR_FILENO);
  // One write for each record, so that lines of several processes do not mix. A record that cannot be written
  // is dropped.
  options.logging.on_log = [json, colour, line](const LogRecord& record) {
    const std::string text =
        json ? detail::json_text_with_replacements(record.to_json()) + "\n" : text_line(record, colour);
    if (line != nullptr) {
      line->print(text);
    } else {
      write_all(STDERR_FILENO, text);
    }
  };
}

void print_dropped_logs(Host& host) {
  host.logs().flush();
  if (const std::uint64_t dropped = host.logs().dropped(); dropped > 0) {
    std::cerr << "warning: " << dropped
              << " log records were dropped, because they came faster than they could be "
              << "written\n";
  }
}

}  // namespace pyhost::cli
