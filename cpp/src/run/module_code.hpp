// Marks the calls into a module's code. Only there can a cancelled run be interrupted.
#pragma once

#include <utility>

#include "python/python.hpp"
#include "run/current_run.hpp"

namespace pyhost::detail {

/// Marks this thread as running a module's code for as long as it lives. If an exception that was raised in
/// the thread to cancel its run has not arrived by then, it is dropped. The caller holds the GIL.
class InModuleCode {
 public:
  explicit InModuleCode(CurrentRun::Thread& thread) : thread_(thread), before_(thread.inside) {
    thread_.inside = true;
  }
  ~InModuleCode() { leave(thread_, before_); }
  InModuleCode(const InModuleCode&) = delete;
  InModuleCode& operator=(const InModuleCode&) = delete;

  static void leave(CurrentRun::Thread& thread, bool before) {
    thread.inside = before;
    if (thread.raised) [[unlikely]]
      drop_raised(thread);
  }

 private:
  static void drop_raised(CurrentRun::Thread& thread) noexcept;
  CurrentRun::Thread& thread_;
  bool before_;
};

/// Returns the result of a call into a module's code; null with Python's error set on failure.
template <class Call>
py::object call_module_code(CurrentRun::Thread& thread, Call call) {
  const InModuleCode in_module_code(thread);
  return steal(call());
}
template <class Call>
py::object call_module_code(const CurrentRun& run, Call call) {
  return call_module_code(run.thread(), std::move(call));
}

/// Like call_module_code(), for a call that throws no C++ exception. Returns a new reference. Needs fewer
/// instructions, because the compiler keeps no object for the case of an exception.
template <class Call>
[[gnu::always_inline]] inline PyObject* call_c_api(const CurrentRun& run, Call call) {
  CurrentRun::Thread& thread = run.thread();
  const bool before = std::exchange(thread.inside, true);
  PyObject* const returned = call();
  InModuleCode::leave(thread, before);
  return returned;
}

}  // namespace pyhost::detail
