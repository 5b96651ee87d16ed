// What conversions keep, and how one of them gets at it.
#pragma once

#include <atomic>
#include <memory>

#include "convert/convert.hpp"
#include "convert/fast_parser.hpp"
#include "convert/json_writer.hpp"
#include "python/py_string.hpp"

namespace pyhost::detail {

struct Conversions::Cache {
  std::atomic<bool> in_use = false;
  KeyCache keys;
  FastParser parser;
  JsonWriter writer;
};

/// Has what is kept to itself. Another thread may hold it where there is no GIL, or where code of a module
/// ran in the middle of a conversion (by a garbage collection of Python 3.9): then a new one does for this
/// time.
class Conversions::CacheLock {
 public:
  explicit CacheLock(Cache& kept) : kept_(&kept) {
    if (!kept.in_use.exchange(true, std::memory_order_acquire)) return;
    own_ = std::make_unique<Cache>();
    kept_ = own_.get();
  }
  ~CacheLock() {
    if (own_) {
      own_->keys.clear();
    } else {
      kept_->in_use.store(false, std::memory_order_release);
    }
  }
  CacheLock(const CacheLock&) = delete;
  CacheLock& operator=(const CacheLock&) = delete;

  Cache* operator->() const { return kept_; }

 private:
  Cache* kept_;
  std::unique_ptr<Cache> own_;
};

}  // namespace pyhost::detail
