// Streams: the items of a run that yields, one at a time.
#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include "pyhost/result.hpp"

namespace pyhost {

namespace detail {

/// A stream without the type of its items.
class AnyStream {
 public:
  struct Data;
  explicit AnyStream(std::unique_ptr<Data> data);
  AnyStream(AnyStream&& other) noexcept;
  AnyStream& operator=(AnyStream&& other) noexcept;
  ~AnyStream();

  bool yields() const noexcept;
  void close();
  template <class As>
  std::optional<typename As::Result> next_as(const As& how);

 private:
  std::unique_ptr<Data> data_;
};

/// An input iterator over the values of `source.next()`, until that returns nothing.
template <class Source, class Item>
class NextIterator {
 public:
  using value_type = Item;
  using difference_type = std::ptrdiff_t;
  explicit NextIterator(Source& source) : source_(&source), item_(source.next()) {}
  Item& operator*() const noexcept { return *item_; }
  Item* operator->() const noexcept { return &*item_; }
  NextIterator& operator++() {
    item_ = source_->next();
    return *this;
  }
  void operator++(int) { ++*this; }
  bool operator==(std::default_sentinel_t /*end*/) const noexcept { return !item_; }

 private:
  Source* source_;
  mutable std::optional<Item> item_;
};

}  // namespace detail

/// The items that a run yields, as an input range. Instance::stream() and Host::stream() return it. If `run`
/// does not yield, the stream has one item, the result. It can be moved, but not copied.
///
/// Each item is produced when it is requested. If that fails, the exception is one of Instance::run(), and
/// the stream has ended. The destructor closes the stream. Its errors are only reported to on_error and
/// on_event.
/// Thread: any, one at a time.
template <ResultType R = Json>
class Stream {
 public:
  /// Returns whether `run` yields.
  bool yields() const noexcept { return stream_.yields(); }

  /// Waits for the next item and returns it. Returns nothing at the end.
  /// Throws: the exceptions of Instance::run(); HostClosed if the host is closed.
  std::optional<R> next() {
    if constexpr (detail::is_typed<R>) {
      std::optional<R> item;
      stream_.next_as(detail::AsTyped(item));
      return item;
    } else {
      return stream_.next_as(detail::As<R>());
    }
  }

  /// Ends the stream before its last item: closes the generator, so that its `finally` blocks are executed.
  /// Throws: ModuleRaised if they raise.
  void close() { stream_.close(); }

  /// An input iterator over items.
  using Iterator = detail::NextIterator<Stream, R>;

  /// Waits for the next item and returns an iterator to it. Do not move the stream while you use the
  /// iterator.
  Iterator begin() { return Iterator(*this); }

  /// Returns the end of the range.
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  friend class Instance;
  friend class Host;
  explicit Stream(detail::AnyStream stream) : stream_(std::move(stream)) {}
  detail::AnyStream stream_;
};

}  // namespace pyhost
