// Passes what modules log by Python's `logging` to the application.
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

/// The record that gave this by its to_json(). Throws Json::exception if none did.
LogRecord log_record_from_json(const Json& json);

/// The last level at or below the number.
LogLevel level_of(int number) noexcept;

/// An exception that was logged, as an error of the run that logged it.
Error logged_error(PythonException exception, const std::string& module);

/// Takes the records of all loggers, whatever modules do to handlers, from the moment that one imports
/// `logging`: it is not imported here.
class Logging {
 public:
  explicit Logging(const Options& options);

  ~Logging() { close(); }
  Logging(const Logging&) = delete;
  Logging& operator=(const Logging&) = delete;

  /// A record that a module in another process logged.
  void put(LogRecord record);
  /// So many more were dropped there.
  void add_dropped(std::uint64_t count);

  /// Begins with the records of this interpreter, whose conversions are given; what it returns is for
  /// leave_python(). Throws StartupFailed if pyhost's own Python files are nowhere. The caller holds the GIL.
  py::object enter_python(std::shared_ptr<Conversions> conversions);

  /// Leaves this interpreter's `logging` as it was. The caller holds the GIL.
  static void leave_python(const py::object& entered) noexcept;

  /// Passes the remaining records to the application, within the shutdown timeout, and takes no more. Reports
  /// on stderr how many were dropped, if nothing else has reported it. Releases the GIL if the caller holds
  /// it.
  void close() noexcept;

  bool flush(std::chrono::milliseconds patience);
  std::uint64_t dropped();

 private:
  std::shared_ptr<LogQueue> queue_;
  LogLevel level_;
};

}  // namespace pyhost::detail
