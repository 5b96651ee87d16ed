// Switches the floating-point environment (rounding, traps, denormal numbers). Python runs in the default
// one, and the application in its own.
#pragma once

#include <cfenv>
#include <cstdint>

namespace pyhost::detail {

/// The floating-point environment of a thread. If two values are equal, nothing needs to be set. Status flags
/// are compared, too, so flags that Python raises do not reach the application.
class FloatingPoint {
 public:
#ifdef __x86_64__
  static FloatingPoint current() noexcept {
    FloatingPoint now;
    now.read();
    return now;
  }
  void read() noexcept { asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(sse_), "=m"(x87_)); }
  bool is_default() const noexcept { return (sse_ & ~sse_flags) == default_sse && x87_ == default_x87; }
  bool operator==(const FloatingPoint&) const = default;
#else
  static FloatingPoint current() noexcept {
    FloatingPoint now;
    now.read();
    return now;
  }
  void read() noexcept { std::fegetenv(&environment_); }
  bool is_default() const noexcept { return false; }
  bool operator==(const FloatingPoint&) const noexcept { return false; }
#endif

  void set() const noexcept;
  static FloatingPoint defaults() noexcept;

  /// Makes it unequal to every environment that current() returns, and not valid.
  void invalidate() noexcept;
  bool is_valid() const noexcept;

 private:
#ifdef __x86_64__
  // Intel's manual, volume 1: MXCSR in 10.2.3, the x87 control word in 8.1.5. The defaults are those of the
  // x86-64 psABI, 3.2.3.
  static constexpr std::uint32_t sse_flags = 0x3f;
  static constexpr std::uint32_t default_sse = 0x1f80;
  static constexpr std::uint16_t default_x87 = 0x037f;
  std::uint32_t sse_;
  std::uint16_t x87_;
#else
  std::fenv_t environment_;
  bool valid_ = true;
#endif
};

/// While it exists, this thread has the default environment. Afterwards it has its previous one.
class DefaultFloatingPoint {
 public:
  [[gnu::always_inline]] DefaultFloatingPoint() noexcept {
    outside_.read();
    if (!outside_.is_default()) [[unlikely]]
      enter();
  }
  [[gnu::always_inline]] ~DefaultFloatingPoint() {
    if (FloatingPoint::current() != outside_) [[unlikely]]
      leave();
  }
  DefaultFloatingPoint(const DefaultFloatingPoint&) = delete;
  DefaultFloatingPoint& operator=(const DefaultFloatingPoint&) = delete;

 private:
  friend class CallersFloatingPoint;
  void enter() noexcept;
  void leave() noexcept;

  FloatingPoint outside_;               // invalid after enter(), so that leave() is called
  FloatingPoint saved_;                 // the one outside; set by enter(), like the next one
  const DefaultFloatingPoint* before_;  // the next outer one that has called enter()
};

/// While it exists, a thread that Python has called back has the environment in which the application called
/// Python. Afterwards it has that of Python again.
class CallersFloatingPoint {
 public:
  CallersFloatingPoint() noexcept;
  ~CallersFloatingPoint();
  CallersFloatingPoint(const CallersFloatingPoint&) = delete;
  CallersFloatingPoint& operator=(const CallersFloatingPoint&) = delete;

 private:
  const FloatingPoint inside_ = FloatingPoint::current();
};

}  // namespace pyhost::detail
