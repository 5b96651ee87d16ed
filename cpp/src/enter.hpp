// The one door into Python: the GIL on the way in, a Python exception as an Error on the way out.
#pragma once

#include <string_view>

#include "exception.hpp"
#include "pyhost/error.hpp"
#include "python.hpp"

namespace pyhost::detail {

/// Holds the GIL on the current thread for as long as it lives; may be nested.
/// Throws HostClosed once the end of the process has begun, because a thread that waits for the GIL
/// then might wait for ever.
class Enter {
 public:
  Enter();
  ~Enter();
  Enter(const Enter&) = delete;
  Enter& operator=(const Enter&) = delete;

 private:
  PyGILState_STATE state_;
};

/// Shuts the door: no new Enter succeeds from here on.
void shut_door() noexcept;

/// Gives up references that need the GIL, from any thread, at any time: after the end they leak.
template <class... Objects>
void release(Objects&... objects) noexcept {
  try {
    const Enter enter;
    ((objects = Objects()), ...);
  } catch (const Error&) {
    (static_cast<void>(objects.release()), ...);
  }
}

/// The object if it is not null; else throws StartupFailed with what Python has set.
py::object must(PyObject* object, std::string_view doing);

}  // namespace pyhost::detail
