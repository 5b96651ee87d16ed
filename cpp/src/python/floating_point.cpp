// Switches the floating-point environment if the application's is not the default one, or if a module has
// changed it.
#include "python/floating_point.hpp"

namespace pyhost::detail {

namespace {

// The innermost switch on this thread from an environment that is not the default one.
thread_local const DefaultFloatingPoint* innermost_change = nullptr;

}  // namespace

#ifdef __x86_64__

void FloatingPoint::set() const noexcept {
  // Loading a control word would trap if a status flag is set that the word does not mask.
  if (current().x87_ != x87_) asm volatile("fnclex\n\tfldcw %0" : : "m"(x87_));
  asm volatile("ldmxcsr %0" : : "m"(sse_));
}

FloatingPoint FloatingPoint::defaults() noexcept {
  FloatingPoint result;
  result.sse_ = default_sse;
  result.x87_ = default_x87;
  return result;
}

// The upper half of MXCSR is always 0.
void FloatingPoint::invalidate() noexcept { sse_ = ~0U; }
bool FloatingPoint::is_valid() const noexcept { return sse_ != ~0U; }

#else

void FloatingPoint::set() const noexcept { std::fesetenv(&environment_); }

FloatingPoint FloatingPoint::defaults() noexcept {
  const FloatingPoint before = current();
  std::fesetenv(FE_DFL_ENV);
  const FloatingPoint result = current();
  before.set();
  return result;
}

void FloatingPoint::invalidate() noexcept { valid_ = false; }
bool FloatingPoint::is_valid() const noexcept { return valid_; }

#endif

void DefaultFloatingPoint::enter() noexcept {
  FloatingPoint::defaults().set();
  saved_ = outside_;
  outside_.invalidate();
  before_ = innermost_change;
  innermost_change = this;
}

void DefaultFloatingPoint::leave() noexcept {
  if (outside_.is_valid()) return outside_.set();
  saved_.set();
  innermost_change = before_;
}

CallersFloatingPoint::CallersFloatingPoint() noexcept {
  if (innermost_change != nullptr)
    innermost_change->saved_.set();
  else if (!inside_.is_default())
    FloatingPoint::defaults().set();
}

CallersFloatingPoint::~CallersFloatingPoint() {
  if (FloatingPoint::current() != inside_) inside_.set();
}

}  // namespace pyhost::detail
