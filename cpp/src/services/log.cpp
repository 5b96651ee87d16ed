// LogRecord as data.
#include "pyhost/log.hpp"

#include <array>
#include <ctime>

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

}  // namespace pyhost
