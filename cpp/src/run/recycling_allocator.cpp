// Frees the block of a thread when the thread ends.
#include "run/recycling_allocator.hpp"

namespace pyhost::detail {

namespace {

struct BlockOwner {
  BlockOwner() = default;
  ~BlockOwner() {
    if (recycled_block != keeps_next) ::operator delete(reinterpret_cast<void*>(recycled_block));
    recycled_block = keeps_none;
  }
  BlockOwner(const BlockOwner&) = delete;
  BlockOwner& operator=(const BlockOwner&) = delete;
};

}  // namespace

void free_or_keep_first(void* block) noexcept {
  if (recycled_block != keeps_first) return ::operator delete(block);
  static thread_local const BlockOwner owner;
  recycled_block = reinterpret_cast<std::uintptr_t>(block);
}

}  // namespace pyhost::detail
