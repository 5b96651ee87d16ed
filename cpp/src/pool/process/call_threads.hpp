// Threads for calls that may take long or wait for each other.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "error/system_limits.hpp"

namespace pyhost::detail {

/// Has as many threads as there were calls in flight at once. Each starts when it is needed.
class CallThreads {
 public:
  CallThreads() = default;
  /// Waits for the calls in flight.
  ~CallThreads() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    came_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  CallThreads(const CallThreads&) = delete;
  CallThreads& operator=(const CallThreads&) = delete;

  /// Calls the function on a thread; it must not throw. Throws StartupFailed if no thread can be started.
  void call(std::function<void()> function) {
    const std::lock_guard lock(mutex_);
    if (idle_ <= waiting_.size()) threads_.push_back(start_thread([this] { work(); }));
    waiting_.push_back(std::move(function));
    came_.notify_one();
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      ++idle_;
      came_.wait(lock, [this] { return closed_ || !waiting_.empty(); });
      --idle_;
      if (waiting_.empty()) return;
      const std::function<void()> function = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      function();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<std::function<void()>> waiting_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool closed_ = false;
};

}  // namespace pyhost::detail
