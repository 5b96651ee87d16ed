// A timer interrupts the code unless it has ended before.
#include "python/deadline.hpp"

#include "pyhost/error.hpp"
#include "python/gil.hpp"
#include "python/python.hpp"
#include "python/timers.hpp"

namespace pyhost::detail {

struct Deadline::Watch {
  unsigned long thread = PyThread_get_thread_ident();
  bool passed = false;  // guarded by the GIL, like `done`
  bool done = false;
  Timers::Id timer = 0;
};

Deadline::Deadline(std::chrono::milliseconds limit) : watch_(std::make_shared<Watch>()) {
  try {
    watch_->timer =
        Timers::with_gil().set(Timers::Clock::now() + limit, [watch = watch_] { return interrupt(*watch); });
  } catch (const Error&) {
    // Without a timer thread there is no deadline.
  }
}

Deadline::~Deadline() {
  watch_->done = true;
  Timers::with_gil().remove(watch_->timer);
  // An exception that was set but not raised yet must not be raised later.
  if (watch_->passed) drop_async_exception(PyThreadState_Get());
}

bool Deadline::passed() const noexcept { return watch_->passed; }

std::optional<Timers::Clock::time_point> Deadline::interrupt(Watch& watch) noexcept {
  constexpr std::chrono::milliseconds between(50);
  try {
    const GilAcquire gil;
    if (watch.done) return std::nullopt;
    watch.passed = true;
    PyThreadState_SetAsyncExc(watch.thread, PyExc_KeyboardInterrupt);
    return Timers::Clock::now() + between;
  } catch (const Error&) {
    return std::nullopt;  // the process is ending
  }
}

}  // namespace pyhost::detail
