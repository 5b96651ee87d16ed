// The memory that a pool shares with one of its worker processes: the progress of the runs, and small
// results.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace pyhost::detail {

/// The progress of one batch. The worker claims each run before it begins it, and the pool may revoke the
/// runs that are not claimed yet. So both know of each run whether it was begun, whatever happens to the
/// other process.
struct BatchSlot {
  static constexpr std::uint32_t revoked = 1U << 31;

  std::atomic<std::uint32_t> begun;     ///< How many were claimed; with `revoked` no more can be.
  std::atomic<std::uint32_t> finished;  ///< Of how many the outcome is there.
  // Times are by the steady clock, in nanoseconds.
  std::atomic<std::int64_t> begun_at;     ///< When the last one was claimed.
  std::atomic<std::int64_t> imported_at;  ///< When its import of the module ended, or one of these:
  static constexpr std::int64_t no_import = 0;
  static constexpr std::int64_t importing = -1;
  std::atomic<std::int64_t> postponed;  ///< By how much it has moved its deadline.

  /// Claims the run; false if it is revoked.
  bool claim(std::uint32_t index, std::int64_t now) noexcept {
    begun_at.store(now, std::memory_order_relaxed);
    imported_at.store(no_import, std::memory_order_relaxed);
    postponed.store(0, std::memory_order_release);
    return begun.compare_exchange_strong(index, index + 1, std::memory_order_acq_rel);
  }

  /// Revokes the runs that are not claimed, and returns how many were claimed.
  std::uint32_t revoke() noexcept { return begun.fetch_or(revoked, std::memory_order_acq_rel) & ~revoked; }

  std::uint32_t claimed() const noexcept { return begun.load(std::memory_order_acquire) & ~revoked; }

  void clear() noexcept {
    finished.store(0, std::memory_order_relaxed);
    begun.store(0, std::memory_order_release);
  }
};

/// What is said of an outcome beside its text and its SpanRecords. In an area it stands before the text, and
/// the SpanRecords begin at a multiple of eight.
struct OutcomeHead {
  std::uint32_t index;
  std::uint16_t failed;
  std::uint16_t spans;        ///< How many; none without an on_span.
  std::uint64_t nanoseconds;  ///< How long the run took.
  std::uint64_t size;

  static constexpr std::size_t padded(std::size_t size) noexcept { return (size + 7) & ~std::size_t{7}; }
};

/// Two batches are on their way at most: batch n is in slot n % 2, its small outcomes in the area beside it.
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
