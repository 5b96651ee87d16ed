// A run on its way through a pool, and the queue that it waits in.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "pyhost/error.hpp"
#include "pyhost/span.hpp"

namespace pyhost::detail {

/// One run that was submitted and has no outcome yet. State and result are JSON text. Exactly one of its
/// outcomes is called, once, by the worker that took it, on any thread; it waits for nothing, and least of
/// all for the GIL. `module` and `state` are what they were until then.
class Job {
 public:
  virtual ~Job() = default;
  virtual void succeed(std::string result) noexcept = 0;
  virtual void fail(const Error& error) noexcept = 0;

  /// For a level at which the result is a Json anyway.
  virtual void succeed_as_json(Json result) noexcept;

  /// Its time in the pool, if it is begun at `end`; only of one that has a `put_at`.
  Span waited(std::chrono::steady_clock::time_point end) const {
    return {.kind = SpanKind::Queue, .module = module, .submission = number, .begin = put_at, .end = end};
  }

  std::string module;
  std::string state;
  bool for_json = false;  ///< The result has to fit a Json, as that of Instance::run() has to.
  std::optional<std::chrono::milliseconds> timeout;
  std::stop_token stop;

  double seconds = 0;  ///< How long the run took: the worker says so before the outcome, if it began.
  std::chrono::steady_clock::time_point put_at = {};  ///< Only where spans are wanted.
  std::uint64_t round = 0;                            ///< Given by the queue.
  std::uint64_t number = 0;                           ///< The same: tells it from all others, from 1.
};

using Jobs = std::vector<std::unique_ptr<Job>>;

/// Where jobs wait, first come first served. Any thread may call it.
class RunQueue {
 public:
  void put(std::unique_ptr<Job> job);

  /// Jobs that were taken and not begun are the first ones again; also once the queue is closed.
  void put_back(Jobs jobs);

  /// Waits for jobs, and moves the first ones, `most` of them at most, to the end of `to`. False once the
  /// queue is closed and empty. While it waits it calls `idle`, if there is one, once a second.
  bool take(Jobs& to, std::size_t most, const std::function<void()>& idle = {});

  /// The same without waiting; gives how many it moved.
  std::size_t try_take(Jobs& to, std::size_t most);

  /// Gives all that waits.
  Jobs empty();

  /// Whether that was done since the job first came: then it would not be there any more if it had waited.
  bool was_emptied_since(const Job& job) const noexcept { return job.number <= emptied_; }

  /// What came before counts as cancelled from now on, also if it was taken already.
  void cancel_taken();

  /// Whether cancel_taken() was called since the job came. Whoever has taken it asks once more when
  /// Worker::cancel() could find the run: so none slips through between the two.
  bool is_cancelled(const Job& job) const noexcept { return job.round < round_; }

  /// No more comes in, and what is put all the same fails as HostClosed; what waits is still to be taken.
  void close();

 private:
  // So many sleep, and so many of them have been woken and have not come yet: each wakes the next one if
  // there is more to do, so that who puts wakes one at most.
  bool should_wake();
  void put_locked(std::unique_ptr<Job> job);
  void wait_locked(std::unique_lock<std::mutex>& lock, const std::function<void()>& idle);
  std::size_t move_locked(Jobs& to, std::size_t most);
  void look_around() const noexcept;

  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<std::unique_ptr<Job>> waiting_;
  std::size_t asleep_ = 0;
  std::size_t waking_ = 0;
  std::atomic<bool> closed_ = false;  // as the next, it may be read without the lock
  std::atomic<bool> nothing_ = true;  // waits
  std::atomic<std::uint64_t> round_ = 1;
  std::uint64_t last_number_ = 0;
  std::atomic<std::uint64_t> emptied_ = 0;  // the last number then
};

/// What becomes of a job that is not to be begun.
Error not_begun(const Job& job, ErrorKind why);

/// What makes runs, one after the other. It has a thread to itself, on which work() is called once.
class Worker {
 public:
  virtual ~Worker() = default;

  /// Takes jobs from the queue and gives each its outcome, until the queue is closed and empty. Throws an
  /// Error, and has taken none, if it cannot: the others go on without it.
  virtual void work(RunQueue& queue) = 0;

  /// Stops the runs that it has taken, as Cancelled, and goes on with the next ones. Any thread may call it.
  virtual void cancel() noexcept = 0;
};

}  // namespace pyhost::detail
