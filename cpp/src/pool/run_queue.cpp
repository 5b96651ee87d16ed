// The queue of a pool, and what is said of a job that never left it.
#include "pool/run_queue.hpp"

#include <algorithm>
#include <iterator>
#include <thread>
#include <utility>

#include "error/json_text.hpp"
#include "pyhost/json.hpp"

namespace pyhost::detail {

void Job::succeed_as_json(Json result) noexcept { succeed(json_text(result)); }

bool RunQueue::should_wake() {
  if (waiting_.empty() || asleep_ <= waking_) return false;
  ++waking_;
  return true;
}

void RunQueue::put_locked(std::unique_ptr<Job> job) {
  if (job->round == 0) job->round = round_;  // one that is made again stays of its round
  if (job->number == 0) job->number = ++last_number_;
  waiting_.push_back(std::move(job));
  nothing_ = false;
}

void RunQueue::put(std::unique_ptr<Job> job) {
  std::unique_lock lock(mutex_);
  if (closed_) {
    lock.unlock();
    return job->fail(not_begun(*job, ErrorKind::HostClosed));
  }
  put_locked(std::move(job));
  const bool wake = should_wake();
  lock.unlock();
  if (wake) filled_.notify_one();
}

void RunQueue::put_back(Jobs jobs) {
  std::unique_lock lock(mutex_);
  waiting_.insert(waiting_.begin(), std::make_move_iterator(jobs.begin()),
                  std::make_move_iterator(jobs.end()));
  nothing_ = waiting_.empty();
  const bool wake = should_wake();
  lock.unlock();
  if (wake) filled_.notify_one();
}

std::size_t RunQueue::move_locked(Jobs& to, std::size_t most) {
  const std::size_t count = std::min(most, waiting_.size());
  for (std::size_t i = 0; i < count; ++i) {
    to.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  nothing_ = waiting_.empty();
  return count;
}

// To fall asleep and be woken takes longer than a small run: the next one may come in the meantime.
void RunQueue::look_around() const noexcept {
  constexpr int times = 40;
  for (int i = 0; i < times && nothing_ && !closed_; ++i) std::this_thread::yield();
}

void RunQueue::wait_locked(std::unique_lock<std::mutex>& lock, const std::function<void()>& idle) {
  constexpr std::chrono::seconds patience(1);
  ++asleep_;
  bool woken = true;
  if (idle) {
    woken = filled_.wait_for(lock, patience) == std::cv_status::no_timeout;
  } else {
    filled_.wait(lock);
  }
  --asleep_;
  if (waking_ > 0) --waking_;  // perhaps that of another, and so one more is woken in vain
  if (woken) return;
  lock.unlock();
  idle();
  lock.lock();
}

bool RunQueue::take(Jobs& to, std::size_t most, const std::function<void()>& idle) {
  look_around();
  std::unique_lock lock(mutex_);
  while (waiting_.empty() && !closed_) wait_locked(lock, idle);
  const bool taken = move_locked(to, most) > 0;
  const bool wake = should_wake();
  lock.unlock();
  if (wake) filled_.notify_one();
  return taken;
}

std::size_t RunQueue::try_take(Jobs& to, std::size_t most) {
  const std::lock_guard lock(mutex_);
  return move_locked(to, most);
}

Jobs RunQueue::empty() {
  Jobs all;
  const std::lock_guard lock(mutex_);
  move_locked(all, waiting_.size());
  emptied_ = last_number_;
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
  filled_.notify_all();
}

Error not_begun(const Job& job, ErrorKind why) {
  const bool closed = why == ErrorKind::HostClosed;
  const std::string what = closed                       ? "was not begun: the pool is closed"
                           : why == ErrorKind::TimedOut ? "was not begun: its timeout of 0 s had passed"
                                                        : "was cancelled before it began";
  return Error({.kind = why,
                .phase = closed ? Phase::Close : Phase::Create,
                .module = job.module,
                .message = "the run of module '" + job.module + "' " + what,
                .hint = closed ? "keep the pool and its host open until the runs are over" : "",
                .closed = closed ? Closed::Pool : Closed::Nothing});
}

}  // namespace pyhost::detail
