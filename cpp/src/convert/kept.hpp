// What conversions keep, and how one of them gets at it.
#pragma once

#include <atomic>
#include <memory>

#include "convert/convert.hpp"
#include "convert/reader.hpp"
#include "python/str.hpp"
#include "convert/text.hpp"

namespace pyhost::detail {

struct Conversions::Kept {
  std::atomic<bool> in_use = false;
  Keys keys;
  Reader reader;
  Text text;
};

/// Has what is kept to itself. Another thread may hold it where there is no GIL, or where code of a module
/// ran in the middle of a conversion (by a garbage collection of Python 3.9): then a new one does for this
/// time.
class Conversions::Use {
 public:
  explicit Use(Kept& kept) : kept_(&kept) {
    if (!kept.in_use.exchange(true, std::memory_order_acquire)) return;
    own_ = std::make_unique<Kept>();
    kept_ = own_.get();
  }
  ~Use() {
    if (own_) {
      own_->keys.clear();
    } else {
      kept_->in_use.store(false, std::memory_order_release);
    }
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

  Kept* operator->() const { return kept_; }

 private:
  Kept* kept_;
  std::unique_ptr<Kept> own_;
};

}  // namespace pyhost::detail
