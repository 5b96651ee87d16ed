// A list of runs for each thread, and a list of the threads.
#include "current_run.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>

namespace pyhost::detail {

namespace {

using Thread = CurrentRun::Thread;

// Threads take numbers by the block, so that they do not wait for each other at each run.
constexpr RunId block = 1024;
std::atomic<RunId> next_block = 0;

RunId next_id(Thread& thread) {
  if (thread.last % block == 0) thread.last = next_block.fetch_add(block, std::memory_order_relaxed);
  return ++thread.last;
}

// Never destroyed: threads may outlive the end of main().
struct Threads {
  std::mutex mutex;
  std::vector<Thread*> all;
};

Threads& threads() {
  static auto* const kept = new Threads;
  return *kept;
}

}  // namespace

CurrentRun::Thread::Thread() {
  const std::lock_guard lock(threads().mutex);
  threads().all.push_back(this);
}

CurrentRun::Thread::~Thread() {
  const std::lock_guard lock(threads().mutex);
  std::erase(threads().all, this);
}

CurrentRun::Thread& CurrentRun::this_thread() {
  static thread_local constinit Thread* mine = nullptr;  // without the test that a destructor costs
  if (mine == nullptr) {
    static thread_local Thread made;
    mine = &made;
  }
  return *mine;
}

CurrentRun::CurrentRun(std::string_view module, Extent extent)
    : thread_(this_thread()), outer_(thread_.innermost), module_(module), extent_(extent) {
  id_ = outer_ != nullptr && outer_->extent_ == Extent::Whole ? outer_->id_ : next_id(thread_);
  if (outer_ == nullptr) thread_.state = PyThreadState_Get();
  thread_.innermost = this;
}

CurrentRun::CurrentRun(std::string_view module, RunId id) : CurrentRun(module) { id_ = id; }

CurrentRun::~CurrentRun() { thread_.innermost = outer_; }

const CurrentRun* CurrentRun::here() noexcept { return this_thread().innermost; }

const CurrentRun* CurrentRun::find(RunId id) noexcept {
  const std::lock_guard lock(threads().mutex);
  const CurrentRun* found = nullptr;
  for (const Thread* thread : threads().all) {
    for (const CurrentRun* run = thread->innermost; run != nullptr; run = run->outer_) {
      if (run->id_ == id) found = run;
    }
  }
  return found;
}

std::vector<const CurrentRun*> CurrentRun::outermost() {
  const std::lock_guard lock(threads().mutex);
  std::vector<const CurrentRun*> found;
  for (const Thread* thread : threads().all) {
    const CurrentRun* run = thread->innermost;
    while (run != nullptr && run->outer_ != nullptr) run = run->outer_;
    if (run != nullptr) found.push_back(run);
  }
  return found;
}

}  // namespace pyhost::detail
