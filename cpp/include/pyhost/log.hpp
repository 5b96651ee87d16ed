// What modules log by Python's `logging`, as plain data.
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

/// Python's levels, by its numbers.
enum class LogLevel : int { Debug = 10, Info = 20, Warning = 30, Error = 40, Critical = 50, Off = 1000 };

/// In lower case, as in "warning".
std::string_view to_string(LogLevel level) noexcept;

/// One record, with nothing in it that refers to Python any more.
struct LogRecord {
  LogLevel level = LogLevel::Debug;  ///< The last one at or below the record's number.
  int number = 0;                    ///< As in Python; a module may have levels of its own.
  std::string logger = {};           ///< As in `logging.getLogger(name)`.
  std::string message = {};          ///< With its arguments in it; cut after 65,536 characters.
  std::chrono::system_clock::time_point time = {};
  std::string file = {};
  int line = 0;
  std::string function = {};
  Json fields = Json::object();     ///< What `extra` gave; a value that JSON does not have, by its repr, and
                                    ///< one that is too long, by the beginning of its text.
  std::optional<Error> error = {};  ///< The exception that was logged with it, by `exc_info`.
  std::string module = {};          ///< Whose run it is of; empty if it is of none.
  RunId run = 0;                    ///< 0 if it is of none.
  std::uint64_t dropped = 0;        ///< So many were dropped right before it, because the queue was full.

  /// The same as data: level, number, logger, message, time (ISO 8601, UTC, microseconds), file, line,
  /// function, fields, exception (as in Error::to_json(), or null), module, run, dropped. The keys are
  /// stable.
  Json to_json() const;
};

namespace detail {
class Logging;
}

/// The log records of a host, see Host::logs(). It may outlive the host.
/// Thread: any.
class HostLogs {
 public:
  /// Waits until on_log has received all records so far. Returns false if it has not within
  /// `patience`, and true without an on_log.
  bool flush(std::chrono::milliseconds patience = std::chrono::seconds(1)) const;

  /// Returns how many records were dropped in all, because on_log was too slow. Without this call, they are
  /// counted on stderr when the host is closed.
  std::uint64_t dropped() const;

 private:
  friend class Host;
  explicit HostLogs(std::shared_ptr<detail::Logging> logging) : logging_(std::move(logging)) {}
  const std::shared_ptr<detail::Logging> logging_;  // null without an on_log
};

}  // namespace pyhost
