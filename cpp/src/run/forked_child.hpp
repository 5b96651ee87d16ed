// Ends a child process that a module forked and did not end itself.
#pragma once

#include "pyhost/error.hpp"
#include "python/gil.hpp"

namespace pyhost::detail {

/// Ends this process as python3 would: with status 1 and the error on stderr, with the status of a
/// SystemExit, or otherwise with status 0. Flushes Python's streams. Calls no atexit handlers.
[[noreturn]] void end_forked_child(const Error* error) noexcept;

/// Checks at the end of a call into a module whether this is a child that the module forked. Such a child
/// must not return to the application, which would then run twice.
class CallEnd {
 public:
  CallEnd() = default;
  CallEnd(const CallEnd&) = delete;
  CallEnd& operator=(const CallEnd&) = delete;
  ~CallEnd() { check(nullptr); }

  static void check(const Error* error) noexcept {
    if (is_forked_child) [[unlikely]]
      end_forked_child(error);
  }
};

}  // namespace pyhost::detail
