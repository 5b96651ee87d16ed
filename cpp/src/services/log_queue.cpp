// The queue's state is shared with its thread, which may outlive the queue in a sink that does not return.
#include "services/log_queue.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "error/system_limits.hpp"
#include "python/signals_blocked.hpp"

namespace pyhost::detail {

struct LogQueue::State {
  State(Sink to, std::size_t most) : sink(std::move(to)), room(most) {}

  Sink sink;
  std::size_t room;
  std::mutex mutex = {};
  std::condition_variable put = {};
  std::condition_variable delivered = {};
  std::deque<LogRecord> records = {};
  std::uint64_t count_put = 0;
  std::uint64_t count_delivered = 0;
  std::uint64_t dropped = 0;
  std::uint64_t reported = 0;  ///< By records. Exceeds `dropped` until add_dropped() has been called.
  std::uint64_t asked = 0;     ///< The value of `dropped` at the last call of dropped().
  bool closed = false;
  std::thread thread = {};
  std::thread::id thread_id = {};  ///< Stays set if the thread is detached.
};

LogQueue::LogQueue(Sink sink, std::size_t room, std::chrono::milliseconds patience)
    : state_(std::make_shared<State>(std::move(sink), room)), patience_(patience) {}

void LogQueue::put(LogRecord record) {
  if (is_forked()) return;
  State& state = *state_;
  {
    const std::lock_guard lock(state.mutex);
    if (state.closed || state.records.size() >= state.room || !has_thread()) {
      ++state.dropped;
      return;
    }
    record.dropped += state.dropped - std::min(state.reported, state.dropped);
    state.reported += record.dropped;
    state.records.push_back(std::move(record));
    ++state.count_put;
  }
  state.put.notify_one();
}

// Starts the thread with the first record. Returns false if the system allows no more threads.
bool LogQueue::has_thread() {
  if (state_->thread.joinable()) return true;
  try {
    const SignalsBlocked blocked;
    state_->thread = start_thread([shared = state_] { deliver_records(shared); });
    state_->thread_id = state_->thread.get_id();
    return true;
  } catch (const Error&) {
    return false;
  }
}

void LogQueue::deliver_records(const std::shared_ptr<State>& shared) {
  State& state = *shared;
  std::unique_lock lock(state.mutex);
  while (true) {
    state.put.wait(lock, [&] { return state.closed || !state.records.empty(); });
    if (state.records.empty()) return;
    const LogRecord record = std::move(state.records.front());
    state.records.pop_front();
    lock.unlock();
    try {
      state.sink(record);
    } catch (...) {
      // Exceptions from on_log are ignored: the module that logged has gone on since.
    }
    lock.lock();
    ++state.count_delivered;
    state.delivered.notify_all();
  }
}

bool LogQueue::flush(std::chrono::milliseconds patience) {
  if (is_forked()) return true;
  std::unique_lock lock(state_->mutex);
  const std::uint64_t all = state_->count_put;
  if (state_->thread_id == std::this_thread::get_id()) return false;
  return state_->delivered.wait_for(lock, patience, [&] { return state_->count_delivered >= all; });
}

void LogQueue::add_dropped(std::uint64_t count) {
  const std::lock_guard lock(state_->mutex);
  state_->dropped += count;
}

std::uint64_t LogQueue::dropped() {
  const std::lock_guard lock(state_->mutex);
  return state_->asked = state_->dropped;
}

std::uint64_t LogQueue::close() noexcept {
  if (is_forked()) {
    // Leaked: destroying a joinable std::thread would end the child.
    static_cast<void>(new std::shared_ptr<State>(state_));
    return 0;
  }
  {
    const std::lock_guard lock(state_->mutex);
    state_->closed = true;
  }
  state_->put.notify_one();
  const bool all_delivered = flush(patience_);
  std::thread thread;
  std::deque<LogRecord> left;
  std::uint64_t unknown = 0;
  {
    const std::lock_guard lock(state_->mutex);
    left.swap(state_->records);
    state_->count_put -= left.size();
    state_->dropped += left.size();
    for (const LogRecord& record : left) state_->reported -= record.dropped;
    const std::uint64_t known = std::max(state_->reported, state_->asked);
    unknown = state_->dropped - std::min(known, state_->dropped);
    state_->asked = state_->dropped;
    thread.swap(state_->thread);
    if (all_delivered) state_->thread_id = {};
  }
  if (thread.joinable()) all_delivered ? thread.join() : thread.detach();
  return unknown;
}

}  // namespace pyhost::detail
