// Enforces that a process has only one open host at a time.
#pragma once

#include <atomic>

#include "pyhost/error.hpp"

namespace pyhost::detail {

/// Marks a host as the open host of this process, until it is destroyed.
class SingleHost {
 public:
  /// Throws StartupFailed if another host is open.
  SingleHost() {
    if (is_taken.exchange(true)) {
      throw Error({.kind = ErrorKind::StartupFailed,
                   .phase = Phase::Start,
                   .message = "another host is already open, and a process can have only one at a time",
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
