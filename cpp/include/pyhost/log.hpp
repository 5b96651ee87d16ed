// Log records of Python's `logging`, as plain data.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "pyhost/error.hpp"
#include "pyhost/event.hpp"
#include "pyhost/json.hpp"

namespace pyhost {

/// The log levels of Python, with Python's numbers.
enum class LogLevel : int {
  Debug = 10,     ///< `logging.DEBUG`
  Info = 20,      ///< `logging.INFO`
  Warning = 30,   ///< `logging.WARNING`
  Error = 40,     ///< `logging.ERROR`
  Critical = 50,  ///< `logging.CRITICAL`
  Off = 1000,     ///< Nothing is logged.
};

/// Returns the enumerator's name in lower case, as in "warning".
std::string_view to_string(LogLevel level) noexcept;

/// A log record as plain data, without references to Python.
struct LogRecord {
  LogLevel level = LogLevel::Debug;  ///< The highest level that is not above `number`.
  int number = 0;                    ///< The level as a number. Modules may define levels of their own.
  std::string logger = {};           ///< The name of the logger, as in `logging.getLogger(name)`.
  std::string message = {};          ///< The message with its arguments, cut at 65,536 characters.
  std::chrono::system_clock::time_point time = {};  ///< When it was logged.
  std::string file = {};                            ///< The file that logged it.
  int line = 0;                                     ///< The line that logged it, from 1.
  std::string function = {};                        ///< The function that logged it.
  /// The values passed as `extra`. Values that JSON cannot represent are replaced by their `repr()`. Long
  /// ones are cut.
  Json fields = Json::object();
  std::optional<Error> error = {};  ///< The exception that was logged with it (`exc_info`).
  std::string module = {};          ///< The module whose run logged it, or empty.
  RunId run = 0;                    ///< The run that logged it, or 0.
  std::uint64_t dropped = 0;  ///< The number of records dropped just before it, because the queue was full.

  /// Returns the record as JSON with the keys level, number, logger, message, time, file, line, function,
  /// fields, exception, module, run and dropped. `time` is ISO 8601 in UTC with microseconds, and `exception`
  /// is as in Error::to_json(). The keys are stable.
  Json to_json() const;
};

namespace detail {
class Logging;
}

/// A handle to the queue of log records of a host. Host::logs() returns it. It may outlive the host.
/// Thread: any.
class HostLogs {
 public:
  /// Waits until on_log has received all records that were logged before this call, but no longer than
  /// `patience`. Returns whether it has received them. Without an on_log, returns true.
  bool flush(std::chrono::milliseconds patience = std::chrono::seconds(1)) const;

  /// Returns the total number of records that were dropped because the queue was full. When the host is
  /// closed, records dropped since the last call of this function are reported on stderr.
  std::uint64_t dropped() const;

 private:
  friend class Host;
  explicit HostLogs(std::shared_ptr<detail::Logging> logging) : logging_(std::move(logging)) {}
  const std::shared_ptr<detail::Logging> logging_;  // null without an on_log
};

}  // namespace pyhost
