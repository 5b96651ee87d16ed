// The cache of Conversions, and exclusive access to it.
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

/// Gives one conversion exclusive use of the cache. If the cache is in use, the conversion gets a temporary
/// one. That happens without a GIL, and when a garbage collection of Python 3.9 runs module code during a
/// conversion.
class Conversions::CacheLock {
 public:
  explicit CacheLock(Cache& shared) : cache_(&shared) {
    if (!shared.in_use.exchange(true, std::memory_order_acquire)) return;
    own_ = std::make_unique<Cache>();
    cache_ = own_.get();
  }
  ~CacheLock() {
    if (own_) {
      own_->keys.clear();
    } else {
      cache_->in_use.store(false, std::memory_order_release);
    }
  }
  CacheLock(const CacheLock&) = delete;
  CacheLock& operator=(const CacheLock&) = delete;

  Cache* operator->() const { return cache_; }

 private:
  Cache* cache_;
  std::unique_ptr<Cache> own_;
};

}  // namespace pyhost::detail
