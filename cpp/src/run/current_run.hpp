// The run that a thread is in: its module, and its id.
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

/// Marks this thread as running a module's code for C++, in an import, a create or a run, for as long as the
/// object lives. Objects nest as calls do: C++ -> Python -> C++ -> Python. They are created and destroyed
/// with the GIL held, so a thread that holds the GIL may read those of all threads. Costs a few stores if the
/// current thread state is passed.
class CurrentRun {
 public:
  /// The state of a thread, which its runs share. Guarded by the GIL.
  struct Thread;

  /// A Whole combines several calls in one run, as Host::run does with load, create and run. Calls that are
  /// made directly within it are parts of that run. The module's name must outlive the object.
  enum class Extent { Call, Whole };
  explicit CurrentRun(std::string_view module, Extent extent = Extent::Call,
                      PyThreadState* here = PyThreadState_Get())
      : CurrentRun(module, extent, here, this_thread()) {}
  CurrentRun(std::string_view module, Extent extent, PyThreadState* here, Thread& thread);
  /// Enters a run again, as a stream does for each item.
  CurrentRun(std::string_view module, RunId id);
  ~CurrentRun();
  CurrentRun(const CurrentRun&) = delete;
  CurrentRun& operator=(const CurrentRun&) = delete;

  /// Returns the innermost run of this thread; null if it is in none.
  static const CurrentRun* here() noexcept;

  /// Returns the outermost object of the run with this id, on any thread of this interpreter; null if there
  /// is none. The caller holds the GIL.
  static const CurrentRun* find(RunId id) noexcept;
  /// Returns the outermost run of each thread of this interpreter. The caller holds the GIL.
  static std::vector<const CurrentRun*> outermost();

  /// Whether this thread is in no run, or in one that is not nested: no module waits for it.
  static bool is_outermost_here() noexcept {
    const CurrentRun* const run = here();
    return run == nullptr || run->outer_ == nullptr;
  }

  RunId id() const noexcept { return id_; }
  std::string_view module() const noexcept { return module_; }
  const CurrentRun* outer() const noexcept { return outer_; }

  /// Whether it is a part of the enclosing run, which then continues after it.
  bool is_part() const noexcept { return outer_ != nullptr && outer_->id_ == id_; }

  /// Null unless the run has a limit, was cancelled, or has checked pyhost.cancelled. The caller holds the
  /// GIL.
  const std::shared_ptr<Cancellation>& cancellation() const noexcept { return cancellation_; }
  void set_cancellation(std::shared_ptr<Cancellation> cancellation) const noexcept {
    cancellation_ = std::move(cancellation);
  }

  /// The entry of the schedule that started the run, also in parts of the run; null if no schedule did. Must
  /// outlive the run.
  const Scheduled* scheduled() const noexcept;
  void set_scheduled(const Scheduled* scheduled) const noexcept { scheduled_ = scheduled; }

  Thread& thread() const noexcept { return thread_; }
  static Thread& this_thread() {
    if (this_threads == nullptr) [[unlikely]]
      this_threads = make_thread();
    return *this_threads;
  }

 private:
  // Threads reserve ids in blocks, so that they do not contend at each run.
  static constexpr RunId block = 1024;
  static RunId next_block_of_ids();
  static Thread* make_thread();
  static void enter_thread(Thread& thread, PyThreadState* here);
  void end_cancellation();

  // A pointer, because an object with a destructor would cost a test at each use.
  static inline constinit thread_local Thread* this_threads = nullptr;

  Thread& thread_;
  RunId id_;
  const CurrentRun* outer_;
  std::string_view module_;
  Extent extent_;
  mutable const Scheduled* scheduled_ = nullptr;
  union {
    mutable std::shared_ptr<Cancellation> cancellation_;  // destroyed by end_cancellation()
  };
};

struct CurrentRun::Thread {
  const CurrentRun* innermost = nullptr;
  RunId last = 0;                  ///< The last id that it assigned.
  PyThreadState* state = nullptr;  ///< As of the start of the outermost run.
  pthread_t handle = pthread_self();
  pid_t kernel_id = gettid();
  unsigned long identity = PyThread_get_thread_ident();
  PyInterpreterState* interpreter = nullptr;  ///< The one whose GIL guards this data.
  class Timers* timers = nullptr;  ///< Timers that may wait for this GIL; null for Timers::with_gil().
  int inside = 0;                  ///< How many calls into a module's code it is in, one within another.
  bool raised = false;             ///< Whether pyhost.Stopped was raised in it.
  bool arrived = false;            ///< Whether that exception has arrived.
  /// Whether the signal's handler must raise pyhost.Stopped. May be set without the GIL.
  std::atomic<bool> woken = false;
  py::object cancel_task;  ///< Cancels the task that the thread waits for; null if there is none.
  enum class Wakes { NotAsked, No, Yes } wakes = Wakes::NotAsked;  ///< Whether a signal wakes it.

  /// Whether pyhost.Stopped was raised in it and has not arrived.
  bool is_pending() const noexcept { return raised && (woken || state->async_exc != nullptr); }

  Thread();
  ~Thread();
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
};

[[gnu::always_inline]] inline CurrentRun::CurrentRun(std::string_view module, Extent extent,
                                                     PyThreadState* here, Thread& thread)
    : thread_(thread), outer_(thread.innermost), module_(module), extent_(extent), cancellation_() {
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

/// Returns the module that this thread runs. On a thread that a module started, this is the module whose
/// function is outermost on the stack. The caller holds the GIL.
std::string running_module();

}  // namespace pyhost::detail
