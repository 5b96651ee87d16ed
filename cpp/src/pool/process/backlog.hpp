// The jobs that a supervising thread has taken from the pool's queue and has not sent to its worker process
// yet.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "pool/process/batch.hpp"
#include "pool/run_queue.hpp"
#include "pyhost/error.hpp"

namespace pyhost::detail {

/// Forms batches of jobs. A batch has as many runs as take about half a millisecond: small runs share the
/// cost of a message, and slow runs do not wait for each other. Used by one thread.
class Backlog {
 public:
  /// Sets the queue that jobs are taken from; null at the end.
  void set_queue(RunQueue* queue) noexcept { queue_ = queue; }

  bool empty() const noexcept { return jobs_.empty(); }

  bool is_cancelled(const Job& job) const { return queue_->is_stopped(job); }

  /// Waits for jobs, and takes as many as one batch has. Calls `idle` once a second meanwhile. Returns false
  /// once the queue is closed and empty.
  bool take(RunQueue::Readiness readiness, const std::function<void()>& idle);

  /// Takes jobs without waiting. Returns false if the queue is empty.
  bool try_take();

  /// Removes and returns the jobs of the next batch, at most `max_runs`. Fails jobs that cannot be run. The
  /// batch is empty if nothing can be sent now: a large state waits until no other batch is in flight.
  Batch next_batch(std::size_t max_runs, bool others_in_flight);

  /// Puts jobs in front of all others.
  void put_first(std::deque<std::unique_ptr<Job>> jobs);

  /// Puts these jobs, and then all others, back into the queue, for any worker that is free.
  void return_to_queue(Jobs first = {});

  /// Fails the jobs that were cancelled.
  void fail_cancelled();

  /// Fails all jobs, and then these others.
  void fail_all(Jobs others, const Error& error);

  /// The maximum number of runs in a batch.
  std::size_t batch_limit() const noexcept { return batch_limit_; }

  /// Adapts the limit to the time that a finished batch took.
  void adapt_batch_limit(const Batch& batch, std::size_t finished);

  /// Makes the next runs be sent one by one.
  void reset_batch_limit() noexcept { batch_limit_ = 1; }

 private:
  void append(Jobs jobs);
  std::optional<Error> refusal_of(const Job& job) const;

  RunQueue* queue_ = nullptr;
  std::deque<std::unique_ptr<Job>> jobs_;
  std::size_t batch_limit_ = 1;
};

}  // namespace pyhost::detail
