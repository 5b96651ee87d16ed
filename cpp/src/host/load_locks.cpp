// Waits for a lock, unless that would deadlock.
#include "host/load_locks.hpp"

#include <chrono>

#include "python/gil.hpp"

namespace pyhost::detail {

std::optional<LoadLocks::Outcome> LoadLocks::try_acquire(PyObject* module, Purpose purpose) {
  const GilRelease no_gil;
  const std::thread::id here = std::this_thread::get_id();
  std::unique_lock lock(mutex_);
  const auto other = locks_.find(module);
  if (other != locks_.end()) {
    if (is_blocked_by(other->second.owner, here))
      return other->second.purpose == Purpose::Unload ? Outcome::Unloading : Outcome::Loading;
    constexpr std::chrono::milliseconds slice(50);
    waiting_[here] = module;
    const bool is_free = released_.wait_for(lock, slice, [&] { return !locks_.contains(module); });
    waiting_.erase(here);
    if (!is_free) return std::nullopt;
  }
  locks_.emplace(module, Lock{purpose, here});
  return Outcome::Acquired;
}

LoadLocks::Release::~Release() {
  const std::lock_guard lock(locks_.mutex_);
  locks_.locks_.erase(module_);
  locks_.released_.notify_all();
}

// Returns whether the thread is the other one, or waits for it, directly or through further threads.
bool LoadLocks::is_blocked_by(std::thread::id thread, std::thread::id other) const {
  while (thread != other) {
    const auto wanted = waiting_.find(thread);
    if (wanted == waiting_.end()) return false;
    const auto lock = locks_.find(wanted->second);
    if (lock == locks_.end()) return false;
    thread = lock->second.owner;
  }
  return true;
}

}  // namespace pyhost::detail
