// Queries the bounds of the stack from the C library, once per thread.
#include "python/stack.hpp"

#include <pthread.h>

#include <cstdint>
#include <limits>

namespace pyhost::detail {

namespace {

struct Stack {
  std::uintptr_t lowest = 0;
  std::size_t size = 0;
};

Stack stack_of_this_thread() noexcept {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return {};
  void* lowest = nullptr;
  std::size_t size = 0;
  pthread_attr_getstack(&attributes, &lowest, &size);
  pthread_attr_destroy(&attributes);
  return {reinterpret_cast<std::uintptr_t>(lowest), size};
}

}  // namespace

std::size_t stack_left() noexcept {
  static thread_local const Stack stack = stack_of_this_thread();
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  const bool is_inside = here >= stack.lowest && here - stack.lowest < stack.size;
  return is_inside ? here - stack.lowest : std::numeric_limits<std::size_t>::max();
}

}  // namespace pyhost::detail
