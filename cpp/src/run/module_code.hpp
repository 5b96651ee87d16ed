// Marks the calls into a module's code. Only there can a cancelled run be interrupted.
#pragma once

#include "python/python.hpp"
#include "run/current_run.hpp"

namespace pyhost::detail {

/// Marks this thread as running a module's code for as long as it lives. If an exception that was raised in
/// the thread to cancel its run has not arrived by then, it is dropped. The caller holds the GIL.
class InModuleCode {
 public:
  explicit InModuleCode(CurrentRun::Thread& thread) : thread_(thread) { ++thread_.inside; }
  ~InModuleCode() { leave(thread_); }
  InModuleCode(const InModuleCode&) = delete;
  InModuleCode& operator=(const InModuleCode&) = delete;

  static void leave(CurrentRun::Thread& thread) {
    --thread.inside;
    if (thread.raised) [[unlikely]]
      drop_raised(thread);
  }

 private:
  static void drop_raised(CurrentRun::Thread& thread) noexcept;
  CurrentRun::Thread& thread_;
};

/// Calls into a module's code by a function of the C API, which throws no C++ exception. Returns its result:
/// a new reference, or null with Python's error set. An InModuleCode would cost more instructions.
template <class Call>
[[gnu::always_inline]] inline PyObject* call_module_code(CurrentRun::Thread& thread, Call call) {
  ++thread.inside;
  PyObject* const returned = call();
  InModuleCode::leave(thread);
  return returned;
}

}  // namespace pyhost::detail
