// The run that a thread is in: which module it is of, and the number that tells it from all others.
#pragma once

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pyhost/event.hpp"
#include "python/python.hpp"

namespace pyhost {
struct Scheduled;
}

namespace pyhost::detail {

class Cancellation;

/// That this thread is in a module's code, on behalf of C++, for as long as it lives: in an import, a create
/// or a run. They nest as calls do: C++ -> Python -> C++ -> Python. Made and destroyed with the GIL, so that
/// a thread that holds the GIL may look at those of all threads. Costs a few stores, if the current thread
/// state is passed.
class CurrentRun {
 public:
  /// A whole holds several calls together, as Host::run does with load, create and run: those that are
  /// made directly within it are parts of the same run. The module's name has to outlive it.
  enum class Extent { Call, Whole };
  explicit CurrentRun(std::string_view module, Extent extent = Extent::Call,
                      PyThreadState* here = PyThreadState_Get());
  [[gnu::always_inline]] CurrentRun(std::string_view module, PyThreadState* here)
      : CurrentRun(module, Extent::Call, here) {}
  /// One that goes on, as a stream does with each item.
  CurrentRun(std::string_view module, RunId id);
  ~CurrentRun();
  CurrentRun(const CurrentRun&) = delete;
  CurrentRun& operator=(const CurrentRun&) = delete;

  /// The innermost of this thread; null if it is in none.
  static const CurrentRun* here() noexcept;

  /// The outermost with this number, on any thread of this interpreter; null if there is none. The caller
  /// holds the GIL.
  static const CurrentRun* find(RunId id) noexcept;
  /// The outermost of each thread of this interpreter. The caller holds the GIL.
  static std::vector<const CurrentRun*> outermost();

  /// Whether no module waits for what this thread does: it is in no run, or in one that is in no other.
  static bool is_outermost_here() noexcept {
    const CurrentRun* const run = here();
    return run == nullptr || run->outer_ == nullptr;
  }

  RunId id() const noexcept { return id_; }
  std::string_view module() const noexcept { return module_; }
  const CurrentRun* outer() const noexcept { return outer_; }

  /// Whether it is a part of the one around it: then the run goes on after it.
  bool is_part() const noexcept { return outer_ != nullptr && outer_->id_ == id_; }

  /// Null unless the run has a limit, or somebody has cancelled it. The caller holds the GIL.
  const std::shared_ptr<Cancellation>& cancellation() const noexcept { return cancellation_; }
  void set_cancellation(std::shared_ptr<Cancellation> cancellation) const noexcept {
    cancellation_ = std::move(cancellation);
  }

  /// What the run is for, also in its parts; null unless a schedule asked for it. Must outlive the run.
  const Scheduled* scheduled() const noexcept;
  void set_scheduled(const Scheduled* scheduled) const noexcept { scheduled_ = scheduled; }

  /// A thread, as all of its runs see it; guarded by the GIL.
  struct Thread;
  Thread& thread() const noexcept { return thread_; }
  static Thread& this_thread() {
    if (this_threads == nullptr) [[unlikely]]
      this_threads = make_thread();
    return *this_threads;
  }

 private:
  // Threads take numbers by the block, so that they do not wait for each other at each run.
  static constexpr RunId block = 1024;
  static RunId next_block_of_ids();
  static Thread* make_thread();
  static void enter_thread(Thread& thread, PyThreadState* here);
  void end_cancellation() const;

  // Without the test at each use that a destructor costs.
  static inline constinit thread_local Thread* this_threads = nullptr;

  Thread& thread_;
  const CurrentRun* outer_;
  std::string_view module_;
  RunId id_;
  Extent extent_;
  mutable const Scheduled* scheduled_ = nullptr;
  mutable std::shared_ptr<Cancellation> cancellation_;
};

struct CurrentRun::Thread {
  const CurrentRun* innermost = nullptr;
  RunId last = 0;                  ///< The last number that it has given.
  PyThreadState* state = nullptr;  ///< As of the outermost run.
  pthread_t handle = pthread_self();
  pid_t kernel_id = gettid();
  unsigned long identity = PyThread_get_thread_ident();
  PyInterpreterState* interpreter = nullptr;  ///< Whose GIL guards it,
  class Timers* timers = nullptr;             ///< and which may wait for that; null for Timers::with_gil().
  bool inside = false;   ///< Whether it is in a module's code, or C++ code has been called from there.
  bool raised = false;   ///< Whether pyhost.Stopped has been raised there,
  bool arrived = false;  ///< and whether it has arrived.
  std::atomic<bool> woken = false;  ///< Whether the signal's handler raises pyhost.Stopped there. May be set
                                    ///< without the GIL.
  py::object cancel_task;           ///< Cancels the task that it waits for; null if it waits for none.
  enum class Wakes { NotAsked, No, Yes } wakes = Wakes::NotAsked;  ///< Whether a signal wakes it.

  /// Whether pyhost.Stopped has been raised there and has not arrived.
  bool is_pending() const noexcept { return raised && (woken || state->async_exc != nullptr); }

  Thread();
  ~Thread();
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
};

[[gnu::always_inline]] inline CurrentRun::CurrentRun(std::string_view module, Extent extent,
                                                     PyThreadState* here)
    : thread_(this_thread()), outer_(thread_.innermost), module_(module), extent_(extent) {
  if (outer_ == nullptr && thread_.state != here) [[unlikely]]
    enter_thread(thread_, here);
  if (outer_ != nullptr && outer_->extent_ == Extent::Whole) {
    id_ = outer_->id_;
  } else {
    if (thread_.last % block == 0) [[unlikely]]
      thread_.last = next_block_of_ids();
    id_ = ++thread_.last;
  }
  thread_.innermost = this;
}

inline CurrentRun::CurrentRun(std::string_view module, RunId id) : CurrentRun(module) { id_ = id; }

[[gnu::always_inline]] inline CurrentRun::~CurrentRun() {
  thread_.innermost = outer_;
  if (cancellation_) [[unlikely]]
    end_cancellation();
}

/// The module that this thread runs; on a thread of a module's own, the one whose function is the outermost.
/// The caller holds the GIL.
std::string running_module();

}  // namespace pyhost::detail
