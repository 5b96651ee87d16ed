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

/// The code of a number's type, as Python's `struct` has it; empty if it has none.
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

/// What a Buffer can have as its elements.
template <class T>
concept BufferElement = !detail::number_format<std::remove_const_t<T>>().empty();

/// How the elements lie in memory.
struct BufferLayout {
  std::string format = "B";                  ///< Of one element, as Python's `struct` has it.
  std::size_t item_size = 1;                 ///< In bytes; that of the format.
  std::vector<std::size_t> shape = {};       ///< Elements in each dimension; at most 64 dimensions.
  std::vector<std::ptrdiff_t> strides = {};  ///< Bytes from one to the next; if empty, row after row.
  bool writable = false;                     ///< Whether Python may write to it.
};

/// A piece of memory with its layout. A handle: copies share the memory, and any thread may use or destroy
/// one, also after the host is gone. No locking: synchronise reads and writes
/// yourself.
class Buffer {
 public:
  /// No memory.
  Buffer() = default;

  /// Memory that the owner keeps there for as long as C++ or Python has it. `data` is its first element.
  /// Throws Error of the kind InvalidState if the layout is none.
  Buffer(std::shared_ptr<const void> owner, const void* data, BufferLayout layout);

  /// The elements of a vector, which it takes over.
  template <BufferElement T>
  static Buffer of(std::vector<T> elements, bool writable = false) {
    auto owner = std::make_shared<std::vector<T>>(std::move(elements));
    const void* const data = owner->data();
    const std::size_t size = owner->size();
    return Buffer(std::move(owner), data, layout_of<T>(size, writable));
  }

  /// Memory that is only lent: it has to stay until revoke() has returned true. What Python may write to is a
  /// span of elements that are not const, asked for by `writable`.
  template <BufferElement T>
  static Buffer borrow(std::span<T> elements, bool writable = false) {
    return Buffer(nullptr, elements.data(), layout_of<T>(elements.size(), writable && !std::is_const_v<T>));
  }

  /// Takes the memory back from Python: from now on a module that wants to look at it gets a BufferError.
  /// True once nobody in Python looks at it any more (no memoryview, no array over it); false if after that
  /// time somebody still does, and the memory has to stay. May be called again. Needs no GIL; call it outside
  /// of runs. Of a buffer that came from Python it returns false: that one is Python's own.
  bool revoke(std::chrono::milliseconds patience = std::chrono::milliseconds(0)) const;

  /// The first element; null if there is no memory.
  const void* data() const noexcept;

  /// All elements, in bytes.
  std::size_t size_bytes() const noexcept;

  const BufferLayout& layout() const noexcept;

  /// Whether the elements lie one after the other, the last index running fastest.
  bool is_contiguous() const noexcept;

  /// The elements, if they are of this type, contiguous and aligned; throws Error of the kind InvalidResult
  /// if not. A char is any byte, signed or not.
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

/// Buffers for a state, each under a key that the state does not have.
using Buffers = std::vector<std::pair<std::string, Buffer>>;

}  // namespace pyhost
