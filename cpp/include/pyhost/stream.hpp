// The results of a run that yields, one by one.
#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include "pyhost/result.hpp"

namespace pyhost {

namespace detail {

/// A stream whose items have no type yet.
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

/// Iterates over what `next()` of the source returns, until that is nothing.
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

/// The items of a run, each made when it is asked for: an input range. The items are what `run` yields, or
/// otherwise the one result that it returns. An item that fails throws what a run throws, and is the last
/// one. Once the host is closed, the next item throws HostClosed. The destructor closes the stream; errors in
/// that reach only on_error and on_event.
/// Thread: any, one at a time.
template <ResultType R = Json>
class Stream {
 public:
  /// Whether `run` yields. Otherwise the stream has one item, its result.
  bool yields() const noexcept { return stream_.yields(); }

  /// Returns the next item, or nothing at the end.
  std::optional<R> next() {
    if constexpr (detail::is_typed<R>) {
      std::optional<R> item;
      stream_.next_as(detail::AsTyped(item));
      return item;
    } else {
      return stream_.next_as(detail::As<R>());
    }
  }

  /// Ends the stream early: closes the generator, so that its `finally` blocks run.
  /// Throws: ModuleRaised if they raise.
  void close() { stream_.close(); }

  using Iterator = detail::NextIterator<Stream, R>;

  /// Makes the first item. The stream must not be moved while the iterator is used.
  Iterator begin() { return Iterator(*this); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  friend class Instance;
  friend class Host;
  explicit Stream(detail::AnyStream stream) : stream_(std::move(stream)) {}
  detail::AnyStream stream_;
};

}  // namespace pyhost
