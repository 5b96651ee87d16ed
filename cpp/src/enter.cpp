// Enter: the GIL, for as long as the process is not ending.
#include "enter.hpp"

#include <atomic>

namespace pyhost::detail {

namespace {

std::atomic<Door> door = Door::Open;

[[noreturn]] void turn_away() {
  if (door == Door::Forked) {
    throw Error({.kind = ErrorKind::HostClosed,
                 .phase = Phase::Close,
                 .message = "this process was forked from one that runs Python, and cannot run it itself",
                 .hint = "call exec in the child, or open the host after the fork"});
  }
  throw Error({.kind = ErrorKind::HostClosed,
               .phase = Phase::Close,
               .message = "the process is ending: Python takes no more calls"});
}

bool python_runs() {
#if PY_VERSION_HEX >= 0x030D0000
  const bool ends = Py_IsFinalizing() != 0;
#else
  const bool ends = _Py_IsFinalizing() != 0;
#endif
  return Py_IsInitialized() != 0 && !ends;
}

// The thread state of a C++ thread, kept until the thread ends: else one would be made and thrown away at
// each call. It is PyGILState_Ensure's own, with one entry that is never left, so that pybind11 and every
// other user of that function find the same. Threads that have one anyway (the one that started Python, and
// those of Python's own) are left as they are.
class KeptThreadState {
 public:
  KeptThreadState() = default;
  KeptThreadState(const KeptThreadState&) = delete;
  KeptThreadState& operator=(const KeptThreadState&) = delete;

  PyThreadState* make() {
    PyGILState_Ensure();
    made_ = PyEval_SaveThread();
    return made_;
  }

  ~KeptThreadState() {
    if (made_ == nullptr || door != Door::Open || !python_runs() || PyGILState_GetThisThreadState() != made_)
      return;
    PyGILState_Ensure();
    PyGILState_Release(PyGILState_LOCKED);    // this destructor's entry
    PyGILState_Release(PyGILState_UNLOCKED);  // the one that was kept: it ends the thread state
  }

 private:
  PyThreadState* made_ = nullptr;
};

thread_local KeptThreadState kept;

// Null without the GIL; any other thread's, on Pythons before 3.12, if that one holds it.
PyThreadState* current_thread_state() {
#if PY_VERSION_HEX >= 0x030D0000
  return PyThreadState_GetUnchecked();
#else
  return _PyThreadState_UncheckedGet();
#endif
}

}  // namespace

Enter::Enter() {
  if (door != Door::Open) turn_away();
  take_gil();
}

void Enter::take_gil() {
  // Asked each time: some other entry may have lent this thread a thread state for a while.
  PyThreadState* here = PyGILState_GetThisThreadState();
  if (here == nullptr) here = kept.make();
  if (current_thread_state() == here) return;
  PyEval_RestoreThread(here);
  took_gil_ = true;
}

Enter::~Enter() {
  if (took_gil_) PyEval_SaveThread();
}

void set_door(Door to) noexcept { door = to; }

py::object must(PyObject* object, std::string_view doing) {
  if (object == nullptr) {
    throw_raised(ErrorKind::StartupFailed, Phase::Start, {}, std::string(doing) + " failed: ");
  }
  return own(object);
}

}  // namespace pyhost::detail
