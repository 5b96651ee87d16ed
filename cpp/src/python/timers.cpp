// The thread sleeps until the first of its timers.
#include "python/timers.hpp"

#include <pthread.h>

#include <atomic>

#include "python/signals_blocked.hpp"

namespace pyhost::detail {

namespace {

// A child of fork() has none of the threads, and perhaps a mutex that one of them held: it gets new timers.
Timers& alarms_of(std::atomic<Timers*>& kept) {
  if (Timers* timers = kept) return *timers;
  Timers* made = new Timers;
  Timers* none = nullptr;
  if (kept.compare_exchange_strong(none, made)) return *made;
  delete made;
  return *none;
}

std::atomic<Timers*> all_inside = nullptr;
std::atomic<Timers*> all_outside = nullptr;

}  // namespace

Timers& Timers::with_gil() { return alarms_of(all_inside); }
Timers& Timers::without_gil() { return alarms_of(all_outside); }

Timers::~Timers() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void Timers::begin() {
  if (thread_.joinable()) return;
  static std::once_flag guarded;
  std::call_once(
      guarded, [] { pthread_atfork(nullptr, nullptr, [] { all_inside = nullptr, all_outside = nullptr; }); });
  const SignalsBlocked blocked;
  thread_ = std::thread([this] { watch(); });
}

Timers::Id Timers::set(Clock::time_point when, Callback ring) {
  const std::lock_guard lock(mutex_);
  begin();
  const auto at = timers_.emplace(when, Timer{++last_, std::move(ring)});
  if (at == timers_.begin()) changed_.notify_one();
  return last_;
}

void Timers::remove(Id id) noexcept {
  Callback given_up;  // after the lock: what it holds may need a lock of its own to go
  const std::lock_guard lock(mutex_);
  if (ringing_ == id) ringing_ = 0;
  for (auto at = timers_.begin(); at != timers_.end(); ++at) {
    if (at->second.id != id) continue;
    given_up = std::move(at->second.ring);
    timers_.erase(at);
    return;
  }
}

void Timers::watch() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (timers_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const Clock::time_point when = timers_.begin()->first;
    if (Clock::now() < when) {
      changed_.wait_until(lock, when);
      continue;
    }
    Timer timer = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    ringing_ = timer.id;
    lock.unlock();
    const std::optional<Clock::time_point> again = timer.ring();
    lock.lock();
    const bool goes_on = again && ringing_ == timer.id;
    ringing_ = 0;
    if (goes_on) {
      timers_.emplace(*again, std::move(timer));
    } else {
      lock.unlock();  // what the ring holds may need a lock of its own to go
      timer.ring = nullptr;
      lock.lock();
    }
  }
}

}  // namespace pyhost::detail
