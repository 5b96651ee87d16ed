// Passes records that modules log by Python's `logging` to the application.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "convert/convert.hpp"
#include "pyhost/log.hpp"
#include "pyhost/options.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

class LogQueue;

/// Returns the record from the result of its to_json(). Throws Json::exception if the JSON is not a record.
LogRecord log_record_from_json(const Json& json);

/// Returns the highest level at or below the number.
LogLevel level_of(int number) noexcept;

/// Returns a logged exception as an error of the run that logged it.
Error logged_error(PythonException exception, const std::string& module);

/// Takes the records of all loggers, whatever modules do to handlers. It starts when a module imports
/// `logging`, which is not imported here.
class Logging {
 public:
  explicit Logging(const Options& options);

  ~Logging() { close(); }
  Logging(const Logging&) = delete;
  Logging& operator=(const Logging&) = delete;

  /// Adds a record that a module in another process logged.
  void put(LogRecord record);
  /// Adds to the number of dropped records those of another process.
  void add_dropped(std::uint64_t count);

  /// Starts to take the records of this interpreter, which has these conversions. Returns the argument for
  /// leave_python(). Throws StartupFailed if pyhost's own Python files are not found. The caller holds the
  /// GIL.
  py::object enter_python(std::shared_ptr<Conversions> conversions);

  /// Restores this interpreter's `logging`. The caller holds the GIL.
  static void leave_python(const py::object& entered) noexcept;

  /// Accepts no more records, and passes the remaining ones to the application within the shutdown timeout.
  /// Reports the number of dropped records on stderr, if it was not reported before. Releases the GIL if the
  /// caller holds it.
  void close() noexcept;

  bool flush(std::chrono::milliseconds patience);
  std::uint64_t dropped();

 private:
  std::shared_ptr<LogQueue> queue_;
  LogLevel level_;
};

}  // namespace pyhost::detail
