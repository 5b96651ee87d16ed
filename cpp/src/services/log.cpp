// Converts log records to JSON and back.
#include "pyhost/log.hpp"

#include <array>
#include <cstdlib>
#include <ctime>
#include <utility>

#include "error/error_json.hpp"
#include "python/exception.hpp"
#include "services/logging.hpp"

namespace pyhost {

namespace {

std::string iso_8601(std::chrono::system_clock::time_point time) {
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
  const auto seconds = static_cast<std::time_t>(micros / 1'000'000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S.", &parts);
  const std::string fraction = std::to_string(1'000'000 + micros % 1'000'000).substr(1);
  return std::string(text.data(), size) + fraction + "Z";
}

// Reads what iso_8601() wrote.
std::chrono::system_clock::time_point time_from(const Json& json) {
  std::tm parts{};
  const char* const fraction =
      strptime(json.get_ref<const std::string&>().c_str(), "%Y-%m-%dT%H:%M:%S.", &parts);
  if (fraction == nullptr) throw Json::other_error::create(501, "the time is not in ISO 8601", &json);
  return std::chrono::system_clock::time_point(std::chrono::seconds(timegm(&parts)) +
                                               std::chrono::microseconds(std::strtol(fraction, nullptr, 10)));
}

}  // namespace

std::string_view to_string(LogLevel level) noexcept {
  if (level >= LogLevel::Off) return "off";
  if (level >= LogLevel::Critical) return "critical";
  if (level >= LogLevel::Error) return "error";
  if (level >= LogLevel::Warning) return "warning";
  return level >= LogLevel::Info ? "info" : "debug";
}

Json LogRecord::to_json() const {
  return {{"level", to_string(level)},
          {"number", number},
          {"logger", logger},
          {"message", message},
          {"time", iso_8601(time)},
          {"file", file},
          {"line", line},
          {"function", function},
          {"fields", fields},
          {"exception", error ? error->to_json()["exception"] : Json(nullptr)},
          {"module", module},
          {"run", run},
          {"dropped", dropped}};
}

namespace detail {

LogLevel level_of(int number) noexcept {
  for (const LogLevel level : {LogLevel::Critical, LogLevel::Error, LogLevel::Warning, LogLevel::Info}) {
    if (number >= static_cast<int>(level)) return level;
  }
  return LogLevel::Debug;
}

Error logged_error(PythonException exception, const std::string& module) {
  return Error({.kind = ErrorKind::ModuleRaised,
                .phase = Phase::Run,
                .module = module,
                .message = one_line(exception),
                .exception = std::move(exception)});
}

LogRecord log_record_from_json(const Json& json) {
  LogRecord record{.level = level_of(json.at("number")),
                   .number = json.at("number"),
                   .logger = json.at("logger"),
                   .message = json.at("message"),
                   .time = time_from(json.at("time")),
                   .file = json.at("file"),
                   .line = json.at("line"),
                   .function = json.at("function"),
                   .fields = json.at("fields"),
                   .module = json.at("module"),
                   .run = json.at("run"),
                   .dropped = json.at("dropped")};
  if (const Json& exception = json.at("exception"); !exception.is_null())
    record.error = logged_error(exception_from_json(exception), record.module);
  return record;
}

}  // namespace detail

}  // namespace pyhost
