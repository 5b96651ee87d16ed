// The allocator of what lives for one call.
#pragma once

#include <cstddef>
#include <new>
#include <utility>

namespace pyhost::detail {

/// The memory of an instance is kept for the next one of the same thread: a temporary one is gone by then,
/// and to allocate takes as long as a tenth of all that pyhost adds to a call.
class RecycledBlock {
 public:
  ~RecycledBlock() {
    ::operator delete(block_);
    block_ = nullptr;
    thread_ends_ = true;
  }
  void* take() noexcept { return std::exchange(block_, nullptr); }
  bool put(void* block) noexcept {
    if (block_ != nullptr || thread_ends_) return false;
    block_ = block;
    return true;
  }

 private:
  void* block_ = nullptr;
  bool thread_ends_ = false;
};

/// This thread's; without the test at each use that a destructor costs.
inline RecycledBlock& recycled_block() {
  static constinit thread_local RecycledBlock* mine = nullptr;
  if (mine == nullptr) [[unlikely]] {
    static thread_local RecycledBlock made;
    mine = &made;
  }
  return *mine;
}

/// For std::allocate_shared of one type throughout.
template <class T>
struct RecyclingAllocator {
  using value_type = T;
  RecyclingAllocator() = default;
  template <class Other>
  explicit RecyclingAllocator(const RecyclingAllocator<Other>& /*other*/) {}
  static T* allocate(std::size_t /*one*/) {
    void* block = recycled_block().take();
    if (block == nullptr) [[unlikely]]
      block = ::operator new(sizeof(T));
    return static_cast<T*>(block);
  }
  static void deallocate(T* block, std::size_t /*one*/) noexcept {
    if (!recycled_block().put(block)) [[unlikely]]
      ::operator delete(block);
  }
  friend bool operator==(const RecyclingAllocator&, const RecyclingAllocator&) { return true; }
};

}  // namespace pyhost::detail
