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
#include <string>
#include <vector>

#include "pyhost/error.hpp"
#include "pyhost/run_options.hpp"
#include "pyhost/span.hpp"

namespace pyhost::detail {

/// One run that was submitted and has no outcome yet. State and result are JSON text. The worker that took it
/// calls exactly one of succeed() and fail(), once, on any thread. These wait for nothing, least of all for
/// the GIL. `module` and `state` do not change until then.
class Job {
 public:
  virtual ~Job() = default;
  virtual void succeed(std::string result) noexcept = 0;
  virtual void fail(const Error& error) noexcept = 0;

  /// For a level at which the result is a Json anyway.
  virtual void succeed_as_json(Json result) noexcept;

  /// Its time in the queue, if it begins at `end`. Only for a job that has a `put_at`.
  Span waited(std::chrono::steady_clock::time_point end) const {
    return {.kind = SpanKind::Queue, .module = module, .submission = number, .begin = put_at, .end = end};
  }

  std::string module;
  std::string state;
  bool for_json = false;  ///< Whether the result must fit a Json, as that of Instance::run() must.
  RunOptions options;

  double seconds = 0;  ///< How long the run took. Set by the worker before the outcome, if it began.
  std::chrono::steady_clock::time_point put_at = {};  ///< Only with an on_span.
  std::uint64_t round = 0;                            ///< Given by the queue.
  std::uint64_t number = 0;                           ///< Given by the queue: unique, from 1.
};

using Jobs = std::vector<std::unique_ptr<Job>>;

/// Where jobs wait, first come first served. Any thread may call it.
class RunQueue {
 public:
  void put(std::unique_ptr<Job> job);

  /// Puts jobs that were taken and not begun in front of all others, also once the queue is closed.
  void put_back(Jobs jobs);

  /// How soon a worker can begin a run. One that must start first, as a process does, is woken only if no
  /// other waits.
  enum class Readiness { Started, NotStarted };

  /// Waits for jobs, and moves the first ones, `most` of them at most, to the end of `to`. Returns false once
  /// the queue is closed and empty. While it waits it calls `idle`, if there is one, once a second.
  bool take(Jobs& to, std::size_t most, Readiness readiness = Readiness::Started,
            const std::function<void()>& idle = {});

  /// The same without waiting. Returns how many jobs it moved.
  std::size_t try_take(Jobs& to, std::size_t most);

  /// Removes all jobs that wait, and returns them.
  Jobs empty();

  /// Whether empty() was called since the job was put. A job that had still waited then would be gone.
  bool was_emptied_since(const Job& job) const noexcept { return job.number <= emptied_; }

  /// Marks all jobs that were put until now as cancelled, also those that were taken already.
  void cancel_taken();

  /// Whether cancel_taken() was called since the job was put. A worker that took the job checks again once
  /// Worker::cancel() can find the run, so that no cancellation is missed in between.
  bool is_cancelled(const Job& job) const noexcept { return job.round < round_; }

  /// Whether it is closed and empty.
  bool is_over() const noexcept { return closed_ && nothing_; }

  /// Whether the job was cancelled, with all others or by its own stop token.
  bool is_stopped(const Job& job) const noexcept {
    return is_cancelled(job) || job.options.stop.stop_requested();
  }

  /// Closes the queue: jobs that are put from now on fail as HostClosed. Jobs that wait can still be taken.
  void close();

 private:
  // Workers of one readiness that wait in take().
  struct Waiting {
    std::condition_variable filled;
    std::size_t asleep = 0;
    std::size_t waking = 0;  // those of them that were woken and do not run yet

    bool can_wake() const noexcept { return asleep > waking; }
  };

  // Returns whom to wake, if anybody. A worker that wakes up wakes the next one if there is more to do, so
  // that put() wakes one at most.
  Waiting* next_to_wake();
  void put_locked(std::unique_ptr<Job> job);
  void wait_locked(std::unique_lock<std::mutex>& lock, Waiting& waiting, const std::function<void()>& idle);
  std::size_t move_locked(Jobs& to, std::size_t most);
  void look_around() const noexcept;

  std::mutex mutex_;
  std::deque<std::unique_ptr<Job>> waiting_;
  Waiting started_, not_started_;
  std::atomic<bool> closed_ = false;  // as the next, it may be read without the lock
  std::atomic<bool> nothing_ = true;  // waits
  std::atomic<std::uint64_t> round_ = 1;
  std::uint64_t last_number_ = 0;
  std::atomic<std::uint64_t> emptied_ = 0;  // the last number then
};

/// The error of a job that must not begin.
Error not_begun(const Job& job, ErrorKind why);

/// Makes runs, one after the other, on a thread of its own, which calls work().
class Worker {
 public:
  virtual ~Worker() = default;

  /// Takes jobs from the queue and runs them, until the queue is closed and empty. Throws an Error, with the
  /// jobs that it has taken back in the queue, if it cannot work: the other workers go on without it. If
  /// there are none, it is called again.
  virtual void work(RunQueue& queue) = 0;

  /// How many runs it makes at once.
  virtual std::size_t width() const noexcept { return 1; }

  /// How many runs should be in flight for it, those that wait included, so that it never waits for them.
  virtual std::size_t runs_ahead() const noexcept { return 256; }

  /// Cancels the runs that it has taken, and goes on with the next ones. Any thread may call it.
  virtual void cancel() noexcept = 0;
};

}  // namespace pyhost::detail
