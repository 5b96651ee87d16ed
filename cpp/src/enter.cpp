// Enter: the GIL, for as long as the process is not ending.
#include "enter.hpp"

#include <atomic>

namespace pyhost::detail {

namespace {

std::atomic<bool> shut = false;

}  // namespace

Enter::Enter() {
  if (shut) {
    throw Error({.kind = ErrorKind::HostClosed,
                 .phase = Phase::Close,
                 .message = "the process is ending: Python takes no more calls"});
  }
  state_ = PyGILState_Ensure();
}

Enter::~Enter() { PyGILState_Release(state_); }

void shut_door() noexcept { shut = true; }

py::object must(PyObject* object, std::string_view doing) {
  if (object == nullptr) {
    throw_raised(ErrorKind::StartupFailed, Phase::Start, {}, std::string(doing) + " failed: ");
  }
  return own(object);
}

}  // namespace pyhost::detail
