// A deadline for Python code that pyhost itself causes to run, such as the __str__ of an exception.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "python/timers.hpp"

namespace pyhost::detail {

/// Interrupts the Python code of the thread that created it when the time limit has passed: raises
/// KeyboardInterrupt in it, repeatedly. Waits for code that catches the exception every time, and for C code
/// that does not return. The caller holds the GIL at creation and destruction.
class Deadline {
 public:
  explicit Deadline(std::chrono::milliseconds limit);
  ~Deadline();
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  /// Returns whether the limit has passed and the code was interrupted. The caller holds the GIL.
  bool passed() const noexcept;

 private:
  struct Watch;
  static std::optional<Timers::Clock::time_point> interrupt(Watch& watch) noexcept;
  std::shared_ptr<Watch> watch_;
};

}  // namespace pyhost::detail
