// The one door into Python: the GIL on the way in, a Python exception as an Error on the way out.
#pragma once

#include <atomic>
#include <optional>
#include <string_view>

#include "python/exception.hpp"
#include "pyhost/error.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// Why nobody may enter any more.
enum class Door { Open, Ended, Forked };

/// Shuts the door to Python, or opens it again: no new Enter succeeds while it is shut.
void set_door(Door to) noexcept;

/// What set_door() said last.
inline std::atomic<Door> door = Door::Open;

/// Throws HostClosed, with the reason why the door is shut.
[[noreturn]] void turn_away();

/// Says that this thread is Python's main one. The caller holds the GIL.
void set_main_thread() noexcept;

/// Makes the thread state that this thread keeps until it ends.
PyThreadState* make_thread_state();

/// Makes the thread state this thread's own again, after it has had one of another interpreter.
void use_again(PyThreadState* before);

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
/// first one makes the thread state that the thread then keeps until it ends.
/// Throws HostClosed once the end of the process has begun, because a thread that waits for the GIL
/// then might wait for ever, and in a child that the application forked, where there is no thread to give it.
class Enter {
 public:
  Enter() {
    if (door.load(std::memory_order_acquire) != Door::Open) turn_away();
    take_gil();
  }

  /// For the end itself: enters whatever the door says.
  static Enter at_the_end() { return Enter(Door::Ended); }

  ~Enter() {
    if (took_gil_) PyEval_SaveThread();
  }
  Enter(const Enter&) = delete;
  Enter& operator=(const Enter&) = delete;

  /// This thread's, which is the current one.
  PyThreadState* thread_state() const noexcept { return here_; }

 private:
  explicit Enter(Door /*whatever it says*/) { take_gil(); }
  void take_gil() {
    // Asked each time: some other entry may have lent this thread a thread state for a while.
    here_ = PyGILState_GetThisThreadState();
    if (here_ == nullptr) [[unlikely]]
      here_ = make_thread_state();
    if (current_thread_state() == here_) return;
    PyEval_RestoreThread(here_);
    took_gil_ = true;
  }
  PyThreadState* here_ = nullptr;
  bool took_gil_ = false;
};

/// Holds the GIL of that interpreter, on a thread that holds none: for who wants something of the runs in it.
/// Throws as Enter does. The interpreter has to outlive it.
class EnterInterpreter {
 public:
  explicit EnterInterpreter(PyInterpreterState* interpreter);
  ~EnterInterpreter();
  EnterInterpreter(const EnterInterpreter&) = delete;
  EnterInterpreter& operator=(const EnterInterpreter&) = delete;

 private:
  std::optional<Enter> main_;
  PyThreadState* before_ = nullptr;
  PyThreadState* made_ = nullptr;
};

/// Lets the GIL go for as long as it lives, around what may take long or call back.
class Leave {
 public:
  Leave() : thread_(PyEval_SaveThread()) {}
  ~Leave() { PyEval_RestoreThread(thread_); }
  Leave(const Leave&) = delete;
  Leave& operator=(const Leave&) = delete;

 private:
  PyThreadState* thread_;
};

/// Lets the GIL go if this thread holds it, around a call of the application's own.
class Outside {
 public:
  Outside() : thread_(holds_gil() ? PyEval_SaveThread() : nullptr) {}
  ~Outside() {
    if (thread_ != nullptr) PyEval_RestoreThread(thread_);
  }
  Outside(const Outside&) = delete;
  Outside& operator=(const Outside&) = delete;

 private:
  PyThreadState* thread_;
};

/// Waits for another thread, which may need the GIL for what is waited for. Also where there is no Python any
/// more.
template <class Wait>
auto wait_outside(Wait wait) {
  std::optional<Outside> outside;
  if (door == Door::Open) outside.emplace();
  return wait();
}

/// Gives up references of that interpreter's, which need its GIL, at any time and from any thread. They leak
/// after the end, and on a thread of another interpreter.
template <class... Objects>
void release(PyInterpreterState* interpreter, Objects&... objects) noexcept {
  if ((!objects && ...)) [[likely]]
    return;
  try {
    const Enter enter;
    if (PyThreadState_GetInterpreter(enter.thread_state()) == interpreter) {
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
