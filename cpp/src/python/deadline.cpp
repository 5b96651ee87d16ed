// The deadline: an alarm that interrupts, unless the code has ended in time.
#include "python/deadline.hpp"

#include <system_error>

#include "python/alarms.hpp"
#include "python/enter.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

struct Deadline::Watch {
  unsigned long thread = PyThread_get_thread_ident();
  bool passed = false;  // these are guarded by the GIL
  bool done = false;
  Alarms::Id alarm = 0;
};

Deadline::Deadline(std::chrono::milliseconds limit) : watch_(std::make_shared<Watch>()) {
  try {
    watch_->alarm =
        Alarms::inside().set(Alarms::Clock::now() + limit, [watch = watch_] { return interrupt(*watch); });
  } catch (const std::system_error&) {
    // No thread to be had: then there is no deadline.
  }
}

Deadline::~Deadline() {
  watch_->done = true;
  Alarms::inside().remove(watch_->alarm);
  // What was raised and has not arrived must not arrive later.
  if (watch_->passed) drop_async_exception(PyThreadState_Get());
}

bool Deadline::passed() const noexcept { return watch_->passed; }

std::optional<Alarms::Clock::time_point> Deadline::interrupt(Watch& watch) noexcept {
  constexpr std::chrono::milliseconds between(50);
  try {
    const Enter enter;
    if (watch.done) return std::nullopt;
    watch.passed = true;
    PyThreadState_SetAsyncExc(watch.thread, PyExc_KeyboardInterrupt);
    return Alarms::Clock::now() + between;
  } catch (const Error&) {
    return std::nullopt;  // the process is ending
  }
}

}  // namespace pyhost::detail
