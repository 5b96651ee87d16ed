// The rule that a process has one open host at a time.
#pragma once

#include <atomic>

#include "pyhost/error.hpp"

namespace pyhost::detail {

/// Marks a host as the open one of this process for as long as it lives.
class SingleHost {
 public:
  /// Throws StartupFailed if another host is open.
  SingleHost() {
    if (is_taken.exchange(true)) {
      throw Error({.kind = ErrorKind::StartupFailed,
                   .phase = Phase::Start,
                   .message = "a host is open already, and a process has one at a time",
                   .hint = "use the open one from every thread, or close it first"});
    }
  }
  ~SingleHost() { is_taken = false; }
  SingleHost(const SingleHost&) = delete;
  SingleHost& operator=(const SingleHost&) = delete;

 private:
  static inline std::atomic<bool> is_taken = false;
};

}  // namespace pyhost::detail
