// The thread sleeps until the first of its alarms.
#include "python/alarms.hpp"

#include <pthread.h>

#include <atomic>

#include "python/signals_blocked.hpp"

namespace pyhost::detail {

namespace {

// A child of fork() has none of the threads, and perhaps a mutex that one of them held: it gets new alarms.
Alarms& alarms_of(std::atomic<Alarms*>& kept) {
  if (Alarms* alarms = kept) return *alarms;
  Alarms* made = new Alarms;
  Alarms* none = nullptr;
  if (kept.compare_exchange_strong(none, made)) return *made;
  delete made;
  return *none;
}

std::atomic<Alarms*> all_inside = nullptr;
std::atomic<Alarms*> all_outside = nullptr;

}  // namespace

Alarms& Alarms::inside() { return alarms_of(all_inside); }
Alarms& Alarms::outside() { return alarms_of(all_outside); }

Alarms::~Alarms() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void Alarms::begin() {
  if (thread_.joinable()) return;
  static std::once_flag guarded;
  std::call_once(
      guarded, [] { pthread_atfork(nullptr, nullptr, [] { all_inside = nullptr, all_outside = nullptr; }); });
  const SignalsBlocked blocked;
  thread_ = std::thread([this] { watch(); });
}

Alarms::Id Alarms::set(Clock::time_point when, Ring ring) {
  const std::lock_guard lock(mutex_);
  begin();
  const auto at = alarms_.emplace(when, Alarm{++last_, std::move(ring)});
  if (at == alarms_.begin()) changed_.notify_one();
  return last_;
}

void Alarms::remove(Id id) noexcept {
  Ring given_up;  // after the lock: what it holds may need a lock of its own to go
  const std::lock_guard lock(mutex_);
  if (ringing_ == id) ringing_ = 0;
  for (auto at = alarms_.begin(); at != alarms_.end(); ++at) {
    if (at->second.id != id) continue;
    given_up = std::move(at->second.ring);
    alarms_.erase(at);
    return;
  }
}

void Alarms::watch() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (alarms_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const Clock::time_point when = alarms_.begin()->first;
    if (Clock::now() < when) {
      changed_.wait_until(lock, when);
      continue;
    }
    Alarm alarm = std::move(alarms_.begin()->second);
    alarms_.erase(alarms_.begin());
    ringing_ = alarm.id;
    lock.unlock();
    const std::optional<Clock::time_point> again = alarm.ring();
    lock.lock();
    const bool goes_on = again && ringing_ == alarm.id;
    ringing_ = 0;
    if (goes_on) {
      alarms_.emplace(*again, std::move(alarm));
    } else {
      lock.unlock();  // what the ring holds may need a lock of its own to go
      alarm.ring = nullptr;
      lock.lock();
    }
  }
}

}  // namespace pyhost::detail
