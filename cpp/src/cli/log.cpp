// Log records on stderr, for people or as one JSON document a line.
#include <spdlog/logger.h>
#include <spdlog/sinks/ansicolor_sink.h>
#include <CLI/CLI.hpp>

#include <cstdint>
#include <iostream>
#include <memory>
#include <utility>

#include "cli/command.hpp"
#include "cli/configuration.hpp"
#include "cli/terminal.hpp"
#include "pyhost/host.hpp"
#include "pyhost/log.hpp"

namespace pyhost::cli {

namespace {

const std::vector<std::pair<std::string, LogLevel>> levels{
    {"debug", LogLevel::Debug}, {"info", LogLevel::Info},         {"warning", LogLevel::Warning},
    {"error", LogLevel::Error}, {"critical", LogLevel::Critical}, {"off", LogLevel::Off}};

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::Debug:
      return spdlog::level::debug;
    case LogLevel::Info:
      return spdlog::level::info;
    case LogLevel::Warning:
      return spdlog::level::warn;
    case LogLevel::Error:
      return spdlog::level::err;
    case LogLevel::Critical:
    case LogLevel::Off:
      break;
  }
  return spdlog::level::critical;
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
  const bool colour = !json && colour_wanted(STDERR_FILENO);
  const auto sink = std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>(
      colour ? spdlog::color_mode::always : spdlog::color_mode::never);
  const auto logger = std::make_shared<spdlog::logger>("pyhost", sink);
  logger->set_level(spdlog::level::trace);
  logger->set_pattern(json ? "%v" : "%H:%M:%S.%e %^%l%$ %v");
  options.on_log = [logger, json](const LogRecord& record) {
    logger->log(record.time, spdlog::source_loc(), spdlog_level(record.level),
                json ? dumped(record.to_json()) : line_of(record));
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
