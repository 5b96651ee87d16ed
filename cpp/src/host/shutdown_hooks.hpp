// Functions that are called before a host closes, for objects such as pools that use it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

namespace pyhost::detail {

/// The hooks of one host. The host and the objects that use it share them. Thread: any.
class ShutdownHooks {
 public:
  using Id = std::uint64_t;

  /// Adds a hook. `end` is called once, without the GIL, when the host closes, unless remove() was called
  /// before. After `end` has returned, the object that added it must not use the host any more. `end` must
  /// not call this object.
  Id add(std::function<void()> end) {
    const std::lock_guard lock(mutex_);
    ends_.emplace(++last_, std::move(end));
    return last_;
  }

  /// Removes a hook. When this returns, its `end` is not running and will not be called.
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
