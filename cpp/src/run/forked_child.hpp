// The end of a process that a module forks and does not end itself.
#pragma once

#include "pyhost/error.hpp"
#include "python/gil.hpp"

namespace pyhost::detail {

/// Ends this process as python3 would: with 1 and the error on stderr, with the status of a SystemExit, or
/// otherwise with 0. What Python's streams hold back is written; atexit handlers are not called.
[[noreturn]] void end_forked_child(const Error* error) noexcept;

/// The end of a call into a module. A child that a module has forked there must not return to the
/// application, which would then go on twice.
class CallEnd {
 public:
  CallEnd() = default;
  CallEnd(const CallEnd&) = delete;
  CallEnd& operator=(const CallEnd&) = delete;
  ~CallEnd() { check(nullptr); }

  static void check(const Error* error) noexcept {
    if (is_forked_child.load(std::memory_order_relaxed)) [[unlikely]]
      end_forked_child(error);
  }
};

}  // namespace pyhost::detail
