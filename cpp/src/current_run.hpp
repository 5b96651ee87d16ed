// The run that a thread is in: which module it is of, and the number that tells it from all others.
#pragma once

#include <pthread.h>

#include <string_view>
#include <vector>

#include "pyhost/event.hpp"
#include "python.hpp"

namespace pyhost::detail {

/// That this thread is in a module's code, on behalf of C++, for as long as it lives: in an import, a create
/// or a run. They nest as calls do: C++ -> Python -> C++ -> Python. Made and destroyed with the GIL, so that
/// who holds the GIL may look at those of all threads. Costs a few stores.
class CurrentRun {
 public:
  /// A whole holds several calls together, as Host::run does with load, create and run: those that are
  /// made directly within it are parts of the same run. The module's name has to outlive it.
  enum class Extent { Call, Whole };
  explicit CurrentRun(std::string_view module, Extent extent = Extent::Call);
  /// One that goes on, as a stream does with each item.
  CurrentRun(std::string_view module, RunId id);
  ~CurrentRun();
  CurrentRun(const CurrentRun&) = delete;
  CurrentRun& operator=(const CurrentRun&) = delete;

  /// The innermost of this thread; null if it is in none.
  static const CurrentRun* here() noexcept;

  /// The outermost with this number, on any thread; null if there is none. The caller holds the GIL.
  static const CurrentRun* find(RunId id) noexcept;
  /// The outermost of each thread. The caller holds the GIL.
  static std::vector<const CurrentRun*> outermost();

  RunId id() const noexcept { return id_; }
  std::string_view module() const noexcept { return module_; }
  const CurrentRun* outer() const noexcept { return outer_; }

  /// Whether it is a part of the one around it: then the run goes on after it.
  bool is_part() const noexcept { return outer_ != nullptr && outer_->id_ == id_; }

  /// A thread, as all of its runs see it; guarded by the GIL.
  struct Thread;
  Thread& thread() const noexcept { return thread_; }
  static Thread& this_thread();

 private:
  Thread& thread_;
  const CurrentRun* outer_;
  std::string_view module_;
  RunId id_;
  Extent extent_;
};

struct CurrentRun::Thread {
  const CurrentRun* innermost = nullptr;
  RunId last = 0;                  ///< The last number that it has given.
  PyThreadState* state = nullptr;  ///< As of the outermost run.
  pthread_t handle = pthread_self();
  unsigned long identity = PyThread_get_thread_ident();

  Thread();
  ~Thread();
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
};

}  // namespace pyhost::detail
