// The layout of a Buffer, and revoke().
#include "pyhost/buffer.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

#include "convert/buffer_data.hpp"
#include "pyhost/error.hpp"
#include "python/timers.hpp"

namespace pyhost {

namespace {

[[noreturn]] void refuse(ErrorKind kind, const std::string& problem) {
  throw Error({.kind = kind,
               .phase = kind == ErrorKind::InvalidResult ? Phase::Result : Phase::Create,
               .message = "the buffer " + problem});
}

// Returns the size of a format of one letter of Python's `struct`, in native sizes. Returns 0 for any other
// format.
std::size_t size_of_letter(std::string_view format) {
  struct Letters {
    std::string_view all;
    std::size_t size;
  };
  constexpr std::array<Letters, 11> sizes{{{"cbB", 1},
                                           {"?", sizeof(bool)},
                                           {"hH", sizeof(short)},
                                           {"iI", sizeof(int)},
                                           {"lL", sizeof(long)},
                                           {"qQ", sizeof(long long)},
                                           {"nN", sizeof(std::size_t)},
                                           {"e", 2},
                                           {"f", sizeof(float)},
                                           {"d", sizeof(double)},
                                           {"P", sizeof(void*)}}};
  if (format.starts_with('@')) format.remove_prefix(1);
  if (format.size() != 1) return 0;
  const auto found = std::ranges::find_if(
      sizes, [&](const Letters& letters) { return letters.all.find(format) != std::string_view::npos; });
  return found != sizes.end() ? found->size : 0;
}

std::string in_bytes(std::size_t size) { return std::to_string(size) + (size == 1 ? " byte" : " bytes"); }

std::size_t checked_size(const BufferLayout& layout) {
  constexpr std::size_t most = std::numeric_limits<std::ptrdiff_t>::max();
  constexpr std::size_t most_dimensions = 64;  // PyBUF_MAX_NDIM
  if (layout.item_size == 0 || layout.format.empty()) refuse(ErrorKind::InvalidState, "has no element type");
  if (layout.shape.size() > most_dimensions) refuse(ErrorKind::InvalidState, "has more than 64 dimensions");
  if (!layout.strides.empty() && layout.strides.size() != layout.shape.size()) {
    refuse(ErrorKind::InvalidState, "must have one stride for each dimension");
  }
  // Python uses the size that the letter implies and ignores item_size.
  if (const std::size_t size = size_of_letter(layout.format); size != 0 && size != layout.item_size) {
    refuse(ErrorKind::InvalidState, "has elements of " + in_bytes(layout.item_size) + ", but its format '" +
                                        layout.format + "' means " + in_bytes(size));
  }
  std::size_t size = layout.item_size;
  // An empty buffer is checked, too: its strides must not overflow.
  for (const std::size_t count : layout.shape) {
    if (size > most / std::max<std::size_t>(count, 1)) {
      refuse(ErrorKind::InvalidState, "is larger than memory");
    }
    size *= std::max<std::size_t>(count, 1);
  }
  return std::ranges::count(layout.shape, 0U) > 0 ? 0 : size;
}

const BufferLayout& no_layout() {
  static const BufferLayout none;
  return none;
}

}  // namespace

std::vector<std::ptrdiff_t> detail::contiguous_strides(const BufferLayout& layout) {
  std::vector<std::ptrdiff_t> strides(layout.shape.size());
  auto step = static_cast<std::ptrdiff_t>(layout.item_size);
  for (std::size_t i = strides.size(); i-- > 0;) {
    strides[i] = step;
    step *= static_cast<std::ptrdiff_t>(layout.shape[i]);
  }
  return strides;
}

Buffer::Buffer(std::shared_ptr<const void> owner, const void* data, BufferLayout layout)
    : data_(std::make_shared<detail::BufferData>()) {
  data_->size = checked_size(layout);
  if (data == nullptr && data_->size > 0) refuse(ErrorKind::InvalidState, "has no memory");
  if (layout.strides.empty()) layout.strides = detail::contiguous_strides(layout);
  data_->owner = std::move(owner);
  data_->data = data;
  data_->layout = std::move(layout);
}

bool Buffer::revoke(std::chrono::milliseconds patience) const {
  if (!data_) return true;
  if (data_->of_python) return false;
  std::unique_lock lock(data_->mutex);
  data_->revoked = true;
  return data_->view_ended.wait_for(lock, detail::clamp_wait(patience), [&] { return data_->views == 0; });
}

const void* Buffer::data() const noexcept { return data_ ? data_->data : nullptr; }

std::size_t Buffer::size_bytes() const noexcept { return data_ ? data_->size : 0; }

const BufferLayout& Buffer::layout() const noexcept { return data_ ? data_->layout : no_layout(); }

bool Buffer::is_contiguous() const noexcept {
  if (size_bytes() == 0) return true;
  const std::vector<std::ptrdiff_t> wanted = detail::contiguous_strides(layout());
  for (std::size_t i = 0; i < wanted.size(); ++i) {  // a dimension of size 1 may have any stride
    if (layout().shape[i] != 1 && layout().strides[i] != wanted[i]) return false;
  }
  return true;
}

void Buffer::check_is(std::string_view format, std::size_t item_size, std::size_t alignment) const {
  std::string_view has = layout().format;
  if (!has.empty() && (has[0] == '@' || has[0] == '=' || has[0] == '<')) has.remove_prefix(1);
  // C has several types of one size, and char may be signed or unsigned.
  const auto same = [&](std::string_view names) {
    return names.find(has) != std::string_view::npos && names.find(format) != std::string_view::npos;
  };
  const bool fits =
      has == format || (has.size() == 1 && (same("ilq") || same("ILQ") || same("bc") || same("Bc")));
  if (!data_ || !fits || layout().item_size != item_size) {
    refuse(ErrorKind::InvalidResult,
           "has elements of the format '" + layout().format + "', not '" + std::string(format) + "'");
  }
  if (!is_contiguous()) refuse(ErrorKind::InvalidResult, "has gaps between its elements: use its strides");
  if (size_bytes() > 0 && reinterpret_cast<std::uintptr_t>(data()) % alignment != 0) {
    refuse(ErrorKind::InvalidResult, "is not aligned for its elements: copy it");
  }
}

}  // namespace pyhost
