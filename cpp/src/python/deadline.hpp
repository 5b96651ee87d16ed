// A deadline for Python code that nobody asked for, such as the __str__ of an exception.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "python/timers.hpp"

namespace pyhost::detail {

/// Interrupts the Python code of the thread that made it once the time is over, by raising KeyboardInterrupt
/// in it, again and again. Code that catches that every time, and C code that does not return, are waited
/// for. The caller holds the GIL when it is made and when it is destroyed.
class Deadline {
 public:
  explicit Deadline(std::chrono::milliseconds limit);
  ~Deadline();
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  /// Whether the time is over and the code was interrupted. The caller holds the GIL.
  bool passed() const noexcept;

 private:
  struct Watch;
  static std::optional<Timers::Clock::time_point> interrupt(Watch& watch) noexcept;
  std::shared_ptr<Watch> watch_;
};

}  // namespace pyhost::detail
