// An allocator for objects that live for one call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

namespace pyhost::detail {

/// Values of recycled_block: the next block is kept; no block was ever kept; the thread ends, so no block is
/// kept any more.
inline constexpr std::uintptr_t keeps_next = 0, keeps_first = 1, keeps_none = 2;

/// The address of the memory of an instance, which is kept for the next one of the same thread, or one of the
/// values above. A temporary instance is gone by then, and an allocation would take a tenth of the time that
/// pyhost adds to a call. An integer, because an object with a destructor would cost a test at each use.
inline constinit thread_local std::uintptr_t recycled_block = keeps_first;

/// The slow path of RecyclingAllocator::deallocate(): for the first block of a thread, and for one that is
/// not kept.
void free_or_keep_first(void* block) noexcept;

/// For std::allocate_shared of a single type in the whole program: all blocks must have the same size.
template <class T>
struct RecyclingAllocator {
  using value_type = T;
  RecyclingAllocator() = default;
  template <class Other>
  explicit RecyclingAllocator(const RecyclingAllocator<Other>& /*other*/) {}
  static T* allocate(std::size_t /*one*/) {
    std::uintptr_t& recycled = recycled_block;
    const std::uintptr_t block = recycled;
    if (block <= keeps_none) [[unlikely]]
      return static_cast<T*>(::operator new(sizeof(T)));
    recycled = keeps_next;
    return reinterpret_cast<T*>(block);
  }
  static void deallocate(T* block, std::size_t /*one*/) noexcept {
    if (recycled_block != keeps_next) [[unlikely]]
      return free_or_keep_first(block);
    recycled_block = reinterpret_cast<std::uintptr_t>(block);
  }
  friend bool operator==(const RecyclingAllocator&, const RecyclingAllocator&) { return true; }
};

}  // namespace pyhost::detail
