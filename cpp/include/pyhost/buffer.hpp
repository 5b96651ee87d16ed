// Memory that C++ and Python share without a copy: an array of numbers, an image, bytes.
#pragma once

#include <bit>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pyhost {

namespace detail {
struct BufferData;

/// The format character of a number's type in Python's `struct`, or nothing for other types.
template <class T>
constexpr std::string_view number_format() {
  if constexpr (std::same_as<T, bool>) return "?";
  if constexpr (std::same_as<T, float>) return "f";
  if constexpr (std::same_as<T, double>) return "d";
  if constexpr (std::integral<T> && !std::same_as<T, bool>)
    return std::string_view(std::is_signed_v<T> ? "bhiq" : "BHIQ").substr(std::countr_zero(sizeof(T)), 1);
  return {};
}
}  // namespace detail

/// An element type of a Buffer: bool, float, double, or an integer type.
template <class T>
concept BufferElement = !detail::number_format<std::remove_const_t<T>>().empty();

/// The layout of an array in memory, as in Python's buffer protocol (PEP 3118).
struct BufferLayout {
  std::string format = "B";             ///< The type of an element, as a format string of Python's `struct`.
  std::size_t item_size = 1;            ///< The size of an element, in bytes. It must match `format`.
  std::vector<std::size_t> shape = {};  ///< The number of elements in each of at most 64 dimensions.
  /// For each dimension, the distance in bytes between neighbouring elements.
  /// Default: empty, for C order without gaps.
  std::vector<std::ptrdiff_t> strides = {};
  bool writable = false;  ///< Whether Python may write to the memory.
};

/// An array that C++ and Python share without a copy. It is a handle: copies share the memory.
///
/// Ownership: the memory stays as long as C++ or Python refers to it, except with borrow().
/// Thread: any, also after the host is closed. No locking: synchronise reads and writes yourself.
class Buffer {
 public:
  /// Creates a buffer without memory.
  Buffer() = default;

  /// Creates a buffer over existing memory. `data` points to the first element.
  /// Ownership: `owner` must keep the memory alive. It is released with the last reference from C++ or
  /// Python.
  /// Throws: InvalidState if the layout is not valid, or if `data` is null and there are elements.
  Buffer(std::shared_ptr<const void> owner, const void* data, BufferLayout layout);

  /// Creates a one-dimensional buffer that owns the elements of a vector.
  template <BufferElement T>
  static Buffer of(std::vector<T> elements, bool writable = false) {
    auto owner = std::make_shared<std::vector<T>>(std::move(elements));
    const void* const data = owner->data();
    const std::size_t size = owner->size();
    return Buffer(std::move(owner), data, layout_of<T>(size, writable));
  }

  /// Creates a one-dimensional buffer over memory that it does not own. Python may write to it if `writable`
  /// is true and the elements are not const.
  /// Ownership: the memory must stay valid until revoke() has returned true.
  template <BufferElement T>
  static Buffer borrow(std::span<T> elements, bool writable = false) {
    return Buffer(nullptr, elements.data(), layout_of<T>(elements.size(), writable && !std::is_const_v<T>));
  }

  /// Takes the memory back from Python: modules that open it from now on get a BufferError. Waits until
  /// Python code has released all views of it, such as memoryviews and NumPy arrays, but no longer than
  /// `patience`. Returns whether all have been released. If not, the memory must stay valid; you may call it
  /// again. Returns false for a buffer that came from Python, because Python owns that memory.
  /// Thread: any that is not inside a run.
  bool revoke(std::chrono::milliseconds patience = std::chrono::milliseconds(0)) const;

  /// Returns the address of the first element, or null if there is no memory.
  const void* data() const noexcept;

  /// Returns the size of all elements, in bytes. Gaps between them are not counted.
  std::size_t size_bytes() const noexcept;

  /// Returns the layout. Its strides are always set.
  const BufferLayout& layout() const noexcept;

  /// Returns whether the elements are in C order without gaps: the last index varies fastest.
  bool is_contiguous() const noexcept;

  /// Returns the elements as a span. With `char`, the elements may be signed or unsigned bytes.
  /// Ownership: the span is valid as long as a buffer shares the memory.
  /// Throws: InvalidResult if the elements have another type, or are not contiguous or not aligned.
  template <BufferElement T>
  std::span<const T> as() const {
    using Element = std::remove_const_t<T>;
    check_is(std::same_as<Element, char> ? "c" : detail::number_format<Element>(), sizeof(T), alignof(T));
    return {static_cast<const T*>(data()), size_bytes() / sizeof(T)};
  }

 private:
  friend struct detail::BufferData;
  explicit Buffer(std::shared_ptr<detail::BufferData> shared) : data_(std::move(shared)) {}

  template <class T>
  static BufferLayout layout_of(std::size_t size, bool writable) {
    return {.format = std::string(detail::number_format<std::remove_const_t<T>>()),
            .item_size = sizeof(T),
            .shape = {size},
            .strides = {},
            .writable = writable};
  }
  void check_is(std::string_view format, std::size_t item_size, std::size_t alignment) const;

  std::shared_ptr<detail::BufferData> data_;
};

/// Buffers for a state, with their keys.
using Buffers = std::vector<std::pair<std::string, Buffer>>;

}  // namespace pyhost
