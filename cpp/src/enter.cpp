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

}  // namespace

Enter::Enter() {
  if (door != Door::Open) turn_away();
  state_ = PyGILState_Ensure();
}

Enter::~Enter() { PyGILState_Release(state_); }

void set_door(Door to) noexcept { door = to; }

py::object must(PyObject* object, std::string_view doing) {
  if (object == nullptr) {
    throw_raised(ErrorKind::StartupFailed, Phase::Start, {}, std::string(doing) + " failed: ");
  }
  return own(object);
}

}  // namespace pyhost::detail
