// What is behind a Buffer.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>

#include "pyhost/buffer.hpp"

namespace pyhost::detail {

struct BufferData {
  std::shared_ptr<const void> owner;  ///< Keeps the memory; null if it is only lent.
  const void* data = nullptr;
  BufferLayout layout = {};  ///< With strides.
  std::size_t size = 0;      ///< In bytes, without gaps.
  bool of_python = false;

  // Views of Python's; the rest is for good.
  std::mutex mutex = {};
  std::condition_variable view_ended = {};
  std::size_t views = 0;
  bool revoked = false;

  static const std::shared_ptr<BufferData>& of(const Buffer& buffer) noexcept { return buffer.data_; }
  static Buffer share(std::shared_ptr<BufferData> data) { return Buffer(std::move(data)); }
};

/// Strides of elements that lie one after the other, the last index running fastest.
std::vector<std::ptrdiff_t> contiguous_strides(const BufferLayout& layout);

}  // namespace pyhost::detail
