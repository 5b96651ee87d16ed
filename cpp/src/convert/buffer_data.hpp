// The shared data of a Buffer.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>

#include "pyhost/buffer.hpp"

namespace pyhost::detail {

struct BufferData {
  std::shared_ptr<const void> owner;  ///< Keeps the memory alive; null if the memory is only lent.
  const void* data = nullptr;
  BufferLayout layout = {};  ///< Always with strides.
  std::size_t size = 0;      ///< In bytes, without gaps.
  bool of_python = false;

  // The views that Python has. Guarded by the mutex; the members above never change.
  std::mutex mutex = {};
  std::condition_variable view_ended = {};
  std::size_t views = 0;
  bool revoked = false;

  static const std::shared_ptr<BufferData>& of(const Buffer& buffer) noexcept { return buffer.data_; }
  static Buffer share(std::shared_ptr<BufferData> data) { return Buffer(std::move(data)); }
};

/// Returns the strides of contiguous elements in row-major order.
std::vector<std::ptrdiff_t> contiguous_strides(const BufferLayout& layout);

}  // namespace pyhost::detail
