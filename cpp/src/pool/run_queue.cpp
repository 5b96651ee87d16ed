// The queue of a pool, and the error of a job that did not begin.
#include "pool/run_queue.hpp"

#include <algorithm>
#include <iterator>
#include <thread>
#include <utility>

#include "error/json_text.hpp"
#include "pyhost/json.hpp"

namespace pyhost::detail {

void Job::succeed_as_json(Json result) noexcept { succeed(json_text(result)); }

RunQueue::Waiting* RunQueue::next_to_wake() {
  if (waiting_.empty()) return nullptr;
  for (Waiting* const each : {&started_, &not_started_}) {
    if (!each->can_wake()) continue;
    ++each->waking;
    return each;
  }
  return nullptr;
}

void RunQueue::put_locked(std::unique_ptr<Job> job) {
  if (job->round == 0) job->round = round_;  // a retry keeps its round
  if (job->number == 0) job->number = ++last_number_;
  waiting_.push_back(std::move(job));
  is_empty_ = false;
}

void RunQueue::put(std::unique_ptr<Job> job) {
  std::unique_lock lock(mutex_);
  if (closed_) {
    lock.unlock();
    return job->fail(not_begun(*job, ErrorKind::HostClosed));
  }
  put_locked(std::move(job));
  Waiting* const wake = next_to_wake();
  lock.unlock();
  if (wake != nullptr) wake->filled.notify_one();
}

void RunQueue::put_back(Jobs jobs) {
  std::unique_lock lock(mutex_);
  waiting_.insert(waiting_.begin(), std::make_move_iterator(jobs.begin()),
                  std::make_move_iterator(jobs.end()));
  is_empty_ = waiting_.empty();
  Waiting* const wake = next_to_wake();
  lock.unlock();
  if (wake != nullptr) wake->filled.notify_one();
}

std::size_t RunQueue::move_locked(Jobs& to, std::size_t most) {
  const std::size_t count = std::min(most, waiting_.size());
  for (std::size_t i = 0; i < count; ++i) {
    to.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  is_empty_ = waiting_.empty();
  return count;
}

// Waits a moment for a job without blocking, because to block and be woken takes longer than a small run.
void RunQueue::spin() const noexcept {
  constexpr int times = 40;
  for (int i = 0; i < times && is_empty_ && !closed_; ++i) std::this_thread::yield();
}

void RunQueue::wait_locked(std::unique_lock<std::mutex>& lock, Waiting& waiting,
                           const std::function<void()>& idle) {
  constexpr std::chrono::seconds patience(1);
  ++waiting.asleep;
  bool woken = true;
  if (idle) {
    woken = waiting.filled.wait_for(lock, patience) == std::cv_status::no_timeout;
  } else {
    waiting.filled.wait(lock);
  }
  --waiting.asleep;
  if (waiting.waking > 0) --waiting.waking;  // if it was meant for another worker, one too many is woken
  if (woken) return;
  lock.unlock();
  idle();
  lock.lock();
}

bool RunQueue::take(Jobs& to, std::size_t most, Readiness readiness, const std::function<void()>& idle) {
  const bool is_started = readiness == Readiness::Started;
  if (is_started) spin();
  std::unique_lock lock(mutex_);
  Waiting& waiting = is_started ? started_ : not_started_;
  // A worker that is not started also waits while started ones are about to take all jobs.
  while (!closed_ && (waiting_.empty() || (!is_started && waiting_.size() <= started_.asleep)))
    wait_locked(lock, waiting, idle);
  const bool taken = move_locked(to, most) > 0;
  Waiting* const wake = next_to_wake();
  lock.unlock();
  if (wake != nullptr) wake->filled.notify_one();
  return taken;
}

std::size_t RunQueue::try_take(Jobs& to, std::size_t most) {
  const std::lock_guard lock(mutex_);
  return move_locked(to, most);
}

Jobs RunQueue::remove_all() {
  Jobs all;
  const std::lock_guard lock(mutex_);
  move_locked(all, waiting_.size());
  last_removed_ = last_number_;
  return all;
}

void RunQueue::cancel_taken() {
  const std::lock_guard lock(mutex_);
  ++round_;
}

void RunQueue::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  started_.filled.notify_all();
  not_started_.filled.notify_all();
}

Error not_begun(const Job& job, ErrorKind why) {
  const bool closed = why == ErrorKind::HostClosed;
  const std::string what = closed                       ? "was not started: the pool is closed"
                           : why == ErrorKind::TimedOut ? "was not started, because its timeout is 0 s"
                                                        : "was cancelled before it began";
  return Error({.kind = why,
                .phase = closed ? Phase::Close : Phase::Create,
                .module = job.module,
                .message = "the run of module '" + job.module + "' " + what,
                .hint = closed ? "keep the pool and its host open until the runs are over" : "",
                .closed = closed ? Closed::Pool : Closed::Nothing});
}

}  // namespace pyhost::detail
