// The batches that were sent to a worker process and are not finished.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "pool/process/batch.hpp"
#include "pool/process/shared_memory.hpp"
#include "pool/process/wire_frames.hpp"
#include "pool/run_queue.hpp"

namespace pyhost::detail {

/// At most two batches, in the order in which they were sent. The worker executes the first one. Used by one
/// thread.
class BatchesInFlight {
 public:
  using Clock = std::chrono::steady_clock;

  bool empty() const noexcept { return batches_.empty(); }
  std::size_t size() const noexcept { return batches_.size(); }
  Batch& front() { return batches_.front(); }
  auto begin() { return batches_.begin(); }
  auto end() { return batches_.end(); }

  void add(Batch batch) { batches_.push_back(std::move(batch)); }
  void remove_front() { batches_.pop_front(); }
  void clear() { batches_.clear(); }

  /// Keeps an outcome that arrived as a frame until it is the run's turn. Throws BrokenFrame if no such run
  /// is in flight.
  void keep_large(WireFrame frame);

  /// Returns the index, in the first batch, of the current run: the one that the worker executes. Nothing if
  /// it executes none.
  std::optional<std::size_t> running(SharedPage& page) const;

  /// Returns the time at which the current run of the batch began; not later than now.
  static Clock::time_point running_since(const Batch& batch, SharedPage& page);

  /// Returns whether the current run is importing its module.
  static bool is_importing(const Batch& batch, SharedPage& page) noexcept {
    return batch.slot(page).imported_at.load(std::memory_order_relaxed) == BatchSlot::importing;
  }

  /// Returns the time at which the current run, which is this job, exceeds its timeout or that of its import.
  static std::optional<Clock::time_point> deadline(const Batch& batch, const Job& job, SharedPage& page);

  /// Returns the earliest time at which a run of the first batch may exceed its timeout. `is_ready`: whether
  /// the worker can begin runs.
  std::optional<Clock::time_point> next_timeout(SharedPage& page, bool is_ready) const;

  /// Returns whether any run in flight fulfills the condition.
  bool any_of(const std::function<bool(const Job&)>& condition) const;

  /// Prevents the worker from beginning any further run, and returns the runs that it has not begun, in
  /// order.
  std::deque<std::unique_ptr<Job>> revoke(SharedPage& page);

  /// Returns all jobs that have no outcome yet.
  Jobs take_all();

 private:
  Batch& find(std::uint64_t number);

  std::deque<Batch> batches_;
};

}  // namespace pyhost::detail
