// An allocator for objects that live for one call.
#pragma once

#include <cstddef>
#include <new>
#include <utility>

namespace pyhost::detail {

/// Keeps the memory of an instance for the next one of the same thread. A temporary instance is gone by then,
/// and an allocation would take a tenth of the time that pyhost adds to a call. Has no destructor, because
/// that would cost a test at each use.
struct RecycledBlock {
  void* block = nullptr;
  enum class State : unsigned char { Unused, Used, ThreadEnds } state = State::Unused;
};
inline constinit thread_local RecycledBlock recycled_block;

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
    void* block = std::exchange(recycled_block.block, nullptr);
    if (block == nullptr) [[unlikely]]
      block = ::operator new(sizeof(T));
    return static_cast<T*>(block);
  }
  static void deallocate(T* block, std::size_t /*one*/) noexcept {
    RecycledBlock& recycled = recycled_block;
    if (recycled.block != nullptr || recycled.state != RecycledBlock::State::Used) [[unlikely]]
      return free_or_keep_first(block);
    recycled.block = block;
  }
  friend bool operator==(const RecyclingAllocator&, const RecyclingAllocator&) { return true; }
};

}  // namespace pyhost::detail
