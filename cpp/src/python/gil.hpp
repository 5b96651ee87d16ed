// Acquires and releases the GIL. Every call into Python acquires it here, unless Python is being shut down.
#pragma once

#include <atomic>
#include <new>
#include <optional>
#include <string_view>

#include "pyhost/error.hpp"
#include "python/exception.hpp"
#include "python/floating_point.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// Whether the GIL may be acquired, and if not, why.
enum class PythonAccess { Open, Ended, EndedByApplication, Forked };

/// Allows or refuses access to Python. While access is refused, each new GilAcquire throws.
void set_python_access(PythonAccess to) noexcept;

/// The last value of set_python_access().
inline std::atomic<PythonAccess> python_access = PythonAccess::Open;

/// Whether Python code forked this process, by os.fork() or multiprocessing. Set in the child, before it can
/// start a thread.
inline bool is_forked_child = false;

/// Throws: HostClosed, with the reason why access is refused.
[[noreturn]] void throw_no_access();

/// Declares the current thread as Python's main thread. The caller holds the GIL.
void set_main_thread() noexcept;

/// Returns whether pyhost, and not the application, started Python.
bool has_started_python() noexcept;

/// Returns whether pyhost started Python on this thread.
bool is_main_thread() noexcept;

/// Creates the thread state that this thread keeps until it ends.
PyThreadState* make_thread_state();

/// Makes this the thread state of this thread again, after the thread used one of another interpreter.
void restore_thread_state(PyThreadState* before);

/// Returns the thread state that holds the GIL. Null if this thread does not hold it; before Python 3.12, it
/// may then be the state of another thread.
inline PyThreadState* current_thread_state() {
#if PY_VERSION_HEX >= 0x030D0000
  return PyThreadState_GetUnchecked();
#else
  return _PyThreadState_UncheckedGet();
#endif
}

/// Returns whether this thread holds a GIL. PyGILState_Check() always returns true once there is a second
/// interpreter.
inline bool holds_gil() {
  PyThreadState* const here = PyGILState_GetThisThreadState();
  return here != nullptr && here == current_thread_state();
}

/// Holds the GIL on the current thread while it exists. May be nested, which costs next to nothing. The first
/// one on a thread creates the thread state that the thread keeps until it ends. The outermost one sets the
/// default floating-point environment.
/// Throws: HostClosed if the process is ending, if the application has called Py_Finalize(), and in a child
/// that the application forked. A thread that waited for the GIL then might wait for ever.
class GilAcquire {
 public:
  [[gnu::always_inline]] GilAcquire() {
    check_access();
    acquire();
  }

  /// Throws if the GIL must not be acquired.
  static void check_access() {
    if (python_access.load(std::memory_order_acquire) != PythonAccess::Open) [[unlikely]]
      throw_no_access();
  }

  /// Acquires the GIL even while access is refused. Only for the shutdown.
  static GilAcquire at_shutdown() { return GilAcquire(PythonAccess::Ended); }

  [[gnu::always_inline]] ~GilAcquire() {
    if (!outermost_) return;
    PyEval_SaveThread();
    floating_point_.~DefaultFloatingPoint();
  }
  GilAcquire(const GilAcquire&) = delete;
  GilAcquire& operator=(const GilAcquire&) = delete;

  /// Returns the thread state of this thread, which is the current one.
  PyThreadState* thread_state() const noexcept { return here_; }

 private:
  explicit GilAcquire(PythonAccess /*ignored*/) { acquire(); }
  [[gnu::always_inline]] void acquire() {
    // Queried each time, because other code may have temporarily given this thread another state.
    here_ = PyGILState_GetThisThreadState();
    if (here_ == nullptr) [[unlikely]]
      here_ = make_thread_state();
    outermost_ = current_thread_state() != here_;
    if (!outermost_) return;
    PyEval_RestoreThread(here_);
    new (&floating_point_) DefaultFloatingPoint;
  }
  PyThreadState* here_;
  bool outermost_;  // false if this thread already held the GIL
  union {
    DefaultFloatingPoint floating_point_;  // only exists in the outermost one
  };
};

/// Holds the GIL of an interpreter, on a thread that holds no GIL, for access to the runs in that
/// interpreter. The interpreter must outlive it.
/// Throws: HostClosed, as GilAcquire does.
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

/// Releases the GIL while it exists, for code that may take long or that calls the application. The
/// application then has its own floating-point environment.
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

/// Releases the GIL if this thread holds it, around a call of the application.
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

/// Calls `wait` without the GIL. `wait` blocks on another thread, which may need the GIL. May be called after
/// the end of Python.
template <class Wait>
auto wait_without_gil(Wait wait) {
  std::optional<GilReleaseIfHeld> outside;
  if (python_access == PythonAccess::Open) outside.emplace();
  return wait();
}

/// The slow path of release(): if there are objects.
template <class... Objects>
void release_held(PyInterpreterState* interpreter, Objects&... objects) noexcept {
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

/// Releases references to objects of an interpreter, which needs its GIL. Thread: any, at any time. After the
/// end of Python, and on a thread of another interpreter, the references leak.
template <class... Objects>
[[gnu::always_inline]] inline void release(PyInterpreterState* interpreter, Objects&... objects) noexcept {
  if ((objects || ...)) [[unlikely]]
    release_held(interpreter, objects...);
}

/// Discards the exception that PyThreadState_SetAsyncExc() has set for this thread, whose state is `here`, by
/// raising and ignoring it. Resetting it with PyThreadState_SetAsyncExc() is not enough: up to Python 3.12
/// the interpreter would then check for it for ever, and Python 3.11 would hang on that in traced or profiled
/// code. The caller holds the GIL.
void drop_async_exception(PyThreadState* here) noexcept;

}  // namespace pyhost::detail
