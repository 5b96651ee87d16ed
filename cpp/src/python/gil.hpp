// The GIL: every call into Python acquires it here, unless the end of Python has begun.
#pragma once

#include <atomic>
#include <optional>
#include <string_view>

#include "pyhost/error.hpp"
#include "python/exception.hpp"
#include "python/floating_point.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// Whether the GIL may be acquired, and why not.
enum class PythonAccess { Open, Ended, EndedByApplication, Forked };

/// Allows or refuses access to Python: while it is refused, no new GilAcquire succeeds.
void set_python_access(PythonAccess to) noexcept;

/// What set_python_access() said last.
inline std::atomic<PythonAccess> python_access = PythonAccess::Open;

/// Whether Python code forked this process, by os.fork() or multiprocessing.
inline std::atomic<bool> is_forked_child = false;

/// Throws HostClosed, with the reason why access is refused.
[[noreturn]] void throw_no_access();

/// Says that this thread is Python's main one. The caller holds the GIL.
void set_main_thread() noexcept;

/// Returns whether pyhost has started Python, and not the application.
bool has_started_python() noexcept;

/// Returns whether pyhost has started Python on this thread.
bool is_main_thread() noexcept;

/// Makes the thread state that this thread keeps until it ends.
PyThreadState* make_thread_state();

/// Makes the thread state this thread's own again, after it has had one of another interpreter.
void restore_thread_state(PyThreadState* before);

/// Null without the GIL; any other thread's, on Pythons before 3.12, if that one holds it.
inline PyThreadState* current_thread_state() {
#if PY_VERSION_HEX >= 0x030D0000
  return PyThreadState_GetUnchecked();
#else
  return _PyThreadState_UncheckedGet();
#endif
}

/// Whether this thread holds a GIL. PyGILState_Check() says yes to all once there is a second interpreter.
inline bool holds_gil() {
  PyThreadState* const here = PyGILState_GetThisThreadState();
  return here != nullptr && here == current_thread_state();
}

/// Holds the GIL on the current thread for as long as it lives; may be nested, at next to no cost. A thread's
/// first one makes the thread state that the thread then keeps until it ends. The outermost one sets the
/// default floating-point environment meanwhile. Throws HostClosed once the end of the process has begun,
/// because a thread that waits for the GIL then might wait for ever, once the application has called
/// Py_Finalize(), and in a child that the application forked, where there is no thread to give it.
class GilAcquire {
 public:
  [[gnu::always_inline]] GilAcquire() {
    if (python_access.load(std::memory_order_acquire) != PythonAccess::Open) throw_no_access();
    acquire();
  }

  /// For the shutdown itself: acquires the GIL even while access is refused.
  static GilAcquire at_shutdown() { return GilAcquire(PythonAccess::Ended); }

  [[gnu::always_inline]] ~GilAcquire() {
    if (inside_) PyEval_SaveThread();
  }
  GilAcquire(const GilAcquire&) = delete;
  GilAcquire& operator=(const GilAcquire&) = delete;

  /// This thread's, which is the current one.
  PyThreadState* thread_state() const noexcept { return here_; }

 private:
  explicit GilAcquire(PythonAccess /*ignored*/) { acquire(); }
  [[gnu::always_inline]] void acquire() {
    // Asked each time: some other entry may have lent this thread a thread state for a while.
    here_ = PyGILState_GetThisThreadState();
    if (here_ == nullptr) [[unlikely]]
      here_ = make_thread_state();
    if (current_thread_state() == here_) return;
    PyEval_RestoreThread(here_);
    inside_.emplace();
  }
  PyThreadState* here_ = nullptr;
  std::optional<DefaultFloatingPoint> inside_;  // empty if this thread held the GIL before
};

/// Holds the GIL of that interpreter, on a thread that holds none, to access the runs in it. Throws as
/// GilAcquire does. The interpreter must outlive it.
class InterpreterGilAcquire {
 public:
  explicit InterpreterGilAcquire(PyInterpreterState* interpreter);
  ~InterpreterGilAcquire();
  InterpreterGilAcquire(const InterpreterGilAcquire&) = delete;
  InterpreterGilAcquire& operator=(const InterpreterGilAcquire&) = delete;

 private:
  std::optional<GilAcquire> main_;
  PyThreadState* before_ = nullptr;
  PyThreadState* made_ = nullptr;
};

/// Lets the GIL go for as long as it lives, around what may take long or call the application, which then
/// computes in its own floating-point environment.
class GilRelease {
 public:
  GilRelease() : thread_(PyEval_SaveThread()) {}
  ~GilRelease() { PyEval_RestoreThread(thread_); }
  GilRelease(const GilRelease&) = delete;
  GilRelease& operator=(const GilRelease&) = delete;

 private:
  PyThreadState* thread_;
  CallersFloatingPoint outside_;
};

/// Lets the GIL go if this thread holds it, around a call of the application's own.
class GilReleaseIfHeld {
 public:
  GilReleaseIfHeld() {
    if (holds_gil()) released_.emplace();
  }
  GilReleaseIfHeld(const GilReleaseIfHeld&) = delete;
  GilReleaseIfHeld& operator=(const GilReleaseIfHeld&) = delete;

 private:
  std::optional<GilRelease> released_;
};

/// Waits for another thread, which may need the GIL for what is waited for. Also where there is no Python any
/// more.
template <class Wait>
auto wait_without_gil(Wait wait) {
  std::optional<GilReleaseIfHeld> outside;
  if (python_access == PythonAccess::Open) outside.emplace();
  return wait();
}

/// Gives up references of that interpreter's, which need its GIL, at any time and from any thread. They leak
/// after the end, and on a thread of another interpreter.
template <class... Objects>
void release(PyInterpreterState* interpreter, Objects&... objects) noexcept {
  if ((!objects && ...)) [[likely]]
    return;
  try {
    const GilAcquire gil;
    if (PyThreadState_GetInterpreter(gil.thread_state()) == interpreter) {
      ((objects = Objects()), ...);
      return;
    }
  } catch (const Error&) {
    // The process is ending.
  }
  (static_cast<void>(objects.release()), ...);
}

/// Has what PyThreadState_SetAsyncExc() was to raise in this thread, whose state is given, raised where
/// nothing comes of it. To take it back by that function would not do: up to Python 3.12, it would be looked
/// for ever after, and 3.11 would not get on for that where it is traced or profiled. The caller holds the
/// GIL.
void drop_async_exception(PyThreadState* here) noexcept;

}  // namespace pyhost::detail
