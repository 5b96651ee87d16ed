// The thread sleeps until its first timer is due.
#include "python/timers.hpp"

#include <pthread.h>

#include <atomic>

#include "error/system_limits.hpp"
#include "python/signals_blocked.hpp"

namespace pyhost::detail {

namespace {

// A child of fork() does not have these threads, and one of them may have held the mutex. So it gets new
// timers.
Timers& timers_of(std::atomic<Timers*>& shared) {
  if (Timers* timers = shared) return *timers;
  Timers* made = new Timers;
  Timers* none = nullptr;
  if (shared.compare_exchange_strong(none, made)) return *made;
  delete made;
  return *none;
}

std::atomic<Timers*> gil_timers = nullptr;
std::atomic<Timers*> no_gil_timers = nullptr;

}  // namespace

Timers& Timers::with_gil() { return timers_of(gil_timers); }
Timers& Timers::without_gil() { return timers_of(no_gil_timers); }

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
  std::call_once(guarded, [] {
    pthread_atfork(nullptr, nullptr, [] { gil_timers = nullptr, no_gil_timers = nullptr; });
  });
  const SignalsBlocked blocked;
  thread_ = start_thread([this] { watch(); });
}

Timers::Id Timers::set(Clock::time_point when, Callback callback) {
  const std::lock_guard lock(mutex_);
  begin();
  const auto at = timers_.emplace(when, Timer{++last_, std::move(callback)});
  if (at == timers_.begin()) changed_.notify_one();
  return last_;
}

void Timers::remove(Id id) noexcept {
  Callback removed;  // destroyed after the lock is released, because that may need another lock
  const std::lock_guard lock(mutex_);
  if (running_ == id) running_ = 0;
  for (auto at = timers_.begin(); at != timers_.end(); ++at) {
    if (at->second.id != id) continue;
    removed = std::move(at->second.callback);
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
    running_ = timer.id;
    lock.unlock();
    const std::optional<Clock::time_point> again = timer.callback();
    lock.lock();
    const bool goes_on = again && running_ == timer.id;
    running_ = 0;
    if (goes_on) {
      timers_.emplace(*again, std::move(timer));
    } else {
      lock.unlock();  // destroying the callback may need another lock
      timer.callback = nullptr;
      lock.lock();
    }
  }
}

}  // namespace pyhost::detail
