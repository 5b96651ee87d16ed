// Those who use a host and have to be done with it before it closes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

namespace pyhost::detail {

/// Any thread may call it; it is shared by the host and its shutdown_hooks, and outlives either.
class ShutdownHooks {
 public:
  using Id = std::uint64_t;

  /// `end` is called once if the host closes first, without the GIL, and returns when the host is not used
  /// any more. It must not call this object.
  Id add(std::function<void()> end) {
    const std::lock_guard lock(mutex_);
    ends_.emplace(++last_, std::move(end));
    return last_;
  }

  /// Once it returns, `end` is not called any more, nor is it being called.
  void remove(Id id) {
    const std::lock_guard lock(mutex_);
    ends_.erase(id);
  }

  void run_all() {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, end] : std::exchange(ends_, {})) end();
  }

 private:
  std::mutex mutex_;
  std::map<Id, std::function<void()>> ends_;
  Id last_ = 0;
};

}  // namespace pyhost::detail
