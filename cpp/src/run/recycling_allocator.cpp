// Frees the block of a thread when the thread ends.
#include "run/recycling_allocator.hpp"

namespace pyhost::detail {

namespace {

struct BlockOwner {
  BlockOwner() { recycled_block.state = RecycledBlock::State::Used; }
  ~BlockOwner() {
    ::operator delete(std::exchange(recycled_block.block, nullptr));
    recycled_block.state = RecycledBlock::State::ThreadEnds;
  }
  BlockOwner(const BlockOwner&) = delete;
  BlockOwner& operator=(const BlockOwner&) = delete;
};

}  // namespace

void free_or_keep_first(void* block) noexcept {
  if (recycled_block.state != RecycledBlock::State::Unused) return ::operator delete(block);
  static thread_local const BlockOwner owner;
  recycled_block.block = block;
}

}  // namespace pyhost::detail
