// The memory that a pool shares with one of its worker processes: the progress of the runs, and small
// results.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace pyhost::detail {

/// The progress of one batch. The worker claims each run before it begins it, and the pool may revoke runs
/// that are not claimed yet. So both sides know of each run whether it has begun, even if the other process
/// dies.
struct BatchSlot {
  static constexpr std::uint32_t revoked = 1U << 31;

  std::atomic<std::uint32_t> begun;     ///< The number of claimed runs; final once `revoked` is set.
  std::atomic<std::uint32_t> finished;  ///< The number of runs whose outcomes are written.
  // Times are by the steady clock, in nanoseconds.
  std::atomic<std::int64_t> begun_at;     ///< When the last run was claimed.
  std::atomic<std::int64_t> imported_at;  ///< When its import of the module ended, or one of these:
  static constexpr std::int64_t no_import = 0;
  static constexpr std::int64_t importing = -1;
  std::atomic<std::int64_t> postponed;  ///< By how much the last run has moved its deadline.

  /// Claims the run. Returns false if it was revoked.
  bool claim(std::uint32_t index, std::int64_t now) noexcept {
    begun_at.store(now, std::memory_order_relaxed);
    imported_at.store(no_import, std::memory_order_relaxed);
    postponed.store(0, std::memory_order_release);
    return begun.compare_exchange_strong(index, index + 1, std::memory_order_acq_rel);
  }

  /// Revokes the runs that are not claimed, and returns the number of claimed ones.
  std::uint32_t revoke() noexcept { return begun.fetch_or(revoked, std::memory_order_acq_rel) & ~revoked; }

  std::uint32_t claimed() const noexcept { return begun.load(std::memory_order_acquire) & ~revoked; }

  void clear() noexcept {
    finished.store(0, std::memory_order_relaxed);
    begun.store(0, std::memory_order_release);
  }
};

/// The header of an outcome. In an area it precedes the text, and the SpanRecords begin at a multiple of
/// eight. In a frame it comes last.
struct OutcomeHead {
  std::uint32_t index;
  std::uint16_t failed;
  std::uint16_t spans;        ///< The number of SpanRecords; 0 without an on_span.
  std::uint64_t nanoseconds;  ///< The duration of the run.
  std::uint64_t size;

  static constexpr std::size_t padded(std::size_t size) noexcept { return (size + 7) & ~std::size_t{7}; }
};

/// At most two batches are in flight. Batch n uses slot n % 2, and the area with the same index for its small
/// outcomes.
struct SharedPage {
  static constexpr std::size_t area_size = std::size_t{128} * 1024;
  using Area = std::array<char, area_size>;

  std::array<BatchSlot, 2> slots;
  std::atomic<std::uint64_t> cancelled;  ///< The run to cancel: its place_in_batch(), plus one.
  alignas(4096) std::array<Area, 2> areas;
};

static_assert(std::atomic<std::uint32_t>::is_always_lock_free &&
              std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace pyhost::detail
