// The jobs of a pool, the queue in which they wait, and the workers that run them.
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

/// A run that was submitted and has no outcome yet. State and result are JSON text. The worker that took it
/// calls exactly one of succeed() and fail(), once, on any thread. These never block, and do not need the
/// GIL. `module` and `state` do not change until then.
class Job {
 public:
  virtual ~Job() = default;
  virtual void succeed(std::string result) noexcept = 0;
  virtual void fail(const Error& error) noexcept = 0;

  /// Like succeed(), for a worker that already has the result as a Json.
  virtual void succeed_as_json(Json result) noexcept;

  /// Returns the span that the job waited in the queue, if it begins at `end`. Requires `put_at`.
  Span waited(std::chrono::steady_clock::time_point end) const {
    return {.kind = SpanKind::Queue, .module = module, .submission = number, .begin = put_at, .end = end};
  }

  std::string module;
  std::string state;
  bool for_json = false;  ///< Whether the result must fit into a Json, which has 64-bit integers.
  RunOptions options;

  double seconds = 0;  ///< How long the run took. The worker sets it before the outcome, if the run began.
  std::chrono::steady_clock::time_point put_at = {};  ///< Only set with an on_span.
  std::uint64_t round = 0;   ///< Set by the queue: how often cancel_taken() was called before, plus one.
  std::uint64_t number = 0;  ///< Set by the queue: unique, from 1.
};

using Jobs = std::vector<std::unique_ptr<Job>>;

/// The queue of the jobs that wait, first in, first out. Thread: any.
class RunQueue {
 public:
  void put(std::unique_ptr<Job> job);

  /// Puts jobs that were taken but not begun back to the front, even if the queue is closed.
  void put_back(Jobs jobs);

  /// Whether a worker can begin a run at once. One that must start first, such as a process, is woken only if
  /// no started worker waits.
  enum class Readiness { Started, NotStarted };

  /// Waits for jobs, and moves at most `most` of them from the front to the end of `to`. Returns false if the
  /// queue is closed and empty. While it waits, it calls `idle` once a second, if that is set.
  bool take(Jobs& to, std::size_t most, Readiness readiness = Readiness::Started,
            const std::function<void()>& idle = {});

  /// Like take(), but does not wait. Returns the number of jobs that it moved.
  std::size_t try_take(Jobs& to, std::size_t most);

  /// Removes all waiting jobs, and returns them.
  Jobs remove_all();

  /// Returns whether remove_all() was called since the job was put for the first time.
  bool was_emptied_since(const Job& job) const noexcept { return job.number <= last_removed_; }

  /// Marks all jobs that were put until now as cancelled, even those that were already taken.
  void cancel_taken();

  /// Returns whether cancel_taken() was called since the job was put. A worker must check it again after
  /// Worker::cancel() has become able to find the run. Otherwise it could miss a cancellation in between.
  bool is_cancelled(const Job& job) const noexcept { return job.round < round_; }

  /// Returns whether the queue is closed and empty.
  bool is_over() const noexcept { return closed_ && is_empty_; }

  /// Returns whether the job was cancelled, by cancel_taken() or by its stop token.
  bool is_stopped(const Job& job) const noexcept {
    return is_cancelled(job) || job.options.stop.stop_requested();
  }

  /// Closes the queue. Jobs that are put afterwards fail as HostClosed. Waiting jobs can still be taken.
  void close();

 private:
  // The workers of one readiness that wait in take().
  struct Waiting {
    std::condition_variable filled;
    std::size_t asleep = 0;
    std::size_t waking = 0;  // of those, the ones that were notified and do not run yet

    bool can_wake() const noexcept { return asleep > waking; }
  };

  // Returns the group of workers in which one must be notified, or null. put() notifies at most one worker. A
  // worker that wakes up notifies the next one if there are more jobs.
  Waiting* next_to_wake();
  void put_locked(std::unique_ptr<Job> job);
  void wait_locked(std::unique_lock<std::mutex>& lock, Waiting& waiting, const std::function<void()>& idle);
  std::size_t move_locked(Jobs& to, std::size_t most);
  void spin() const noexcept;

  std::mutex mutex_;
  std::deque<std::unique_ptr<Job>> waiting_;
  Waiting started_, not_started_;
  std::atomic<bool> closed_ = false;   // written with the lock held, read without it
  std::atomic<bool> is_empty_ = true;  // likewise
  std::atomic<std::uint64_t> round_ = 1;
  std::uint64_t last_number_ = 0;
  std::atomic<std::uint64_t> last_removed_ = 0;  // last_number_ at the last remove_all()
};

/// Returns the error of a job that did not begin.
Error not_begun(const Job& job, ErrorKind why);

/// Takes jobs from a queue and runs them. The pool calls work() on a separate thread.
class Worker {
 public:
  virtual ~Worker() = default;

  /// Takes jobs from the queue and runs them, until the queue is closed and empty. Throws: an Error if the
  /// worker cannot work; it has put its jobs back into the queue then. The other workers continue without it.
  /// If it was the last worker, work() is called again.
  virtual void work(RunQueue& queue) = 0;

  /// Returns how many runs it makes at once.
  virtual std::size_t width() const noexcept { return 1; }

  /// Returns how many runs should be in flight for it, including those in the queue, so that it never has to
  /// wait for the next one.
  virtual std::size_t runs_ahead() const noexcept { return 256; }

  /// Cancels the runs that it has taken, and continues with the next ones. Thread: any.
  virtual void cancel() noexcept = 0;
};

}  // namespace pyhost::detail
