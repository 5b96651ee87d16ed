// What a run gives bit by bit.
#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <string>

#include "pyhost/json.hpp"

namespace pyhost {

/// The items of a run, each made when it is asked for: an input range of Json. What `run` yields are the
/// items, or else the one thing that it returns. Getting an item throws what a run throws, and then there are
/// no more. One thread at a time may use it; it may outlive its host, and then has no items.
class Stream {
 public:
  Stream(Stream&& other) noexcept;
  Stream& operator=(Stream&& other) noexcept;
  /// Closes it; of what goes wrong then, only Options.on_error and on_event are told.
  ~Stream();

  /// Whether `run` yields: false if there is but its one result.
  bool yields() const noexcept;

  /// The next item; nothing at the end.
  std::optional<Json> next();
  /// The same as JSON text on one line.
  std::optional<std::string> next_text();

  /// Ends it early: the generator is closed, so that its `finally` blocks run. Throws what these raise.
  void close();

  class Iterator {
   public:
    using value_type = Json;
    using difference_type = std::ptrdiff_t;
    const Json& operator*() const noexcept { return *item_; }
    const Json* operator->() const noexcept { return &*item_; }
    Iterator& operator++() {
      item_ = stream_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t /*end*/) const noexcept { return !item_; }

   private:
    friend class Stream;
    explicit Iterator(Stream& stream) : stream_(&stream), item_(stream.next()) {}
    Stream* stream_;
    std::optional<Json> item_;
  };

  /// Gets the first item. The stream has to stay where it is for as long as the iterator is used.
  Iterator begin() { return Iterator(*this); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  friend class Instance;
  struct Data;
  explicit Stream(std::unique_ptr<Data> data);
  std::unique_ptr<Data> data_;
};

}  // namespace pyhost
