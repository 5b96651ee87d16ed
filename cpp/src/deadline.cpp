// The deadline: a thread that sleeps, and that interrupts if it is not told in time.
#include "deadline.hpp"

#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "enter.hpp"
#include "python.hpp"

namespace pyhost::detail {

struct Deadline::Watch {
  unsigned long thread = PyThread_get_thread_ident();
  bool passed = false;  // guarded by the GIL
  bool done = false;    // written with the GIL and the mutex, so that either is enough to read it
  std::mutex mutex;
  std::condition_variable told;
};

Deadline::Deadline(std::chrono::milliseconds limit) : watch_(std::make_shared<Watch>()) {
  try {
    std::thread(watch, watch_, limit).detach();
  } catch (const std::system_error&) {
    // No thread to be had: then there is no deadline.
  }
}

Deadline::~Deadline() {
  {
    const std::lock_guard lock(watch_->mutex);
    watch_->done = true;
  }
  watch_->told.notify_all();
  // What was raised and has not arrived must not arrive later.
  if (watch_->passed) PyThreadState_SetAsyncExc(watch_->thread, nullptr);
}

bool Deadline::passed() const noexcept { return watch_->passed; }

void Deadline::watch(const std::shared_ptr<Watch>& watch, std::chrono::milliseconds limit) {
  const auto told_in = [&](std::chrono::milliseconds time) {
    std::unique_lock lock(watch->mutex);
    return watch->told.wait_for(lock, time, [&] { return watch->done; });
  };
  constexpr std::chrono::milliseconds between(50);
  try {
    for (; !told_in(limit); limit = between) {
      const Enter enter;
      if (watch->done) return;
      watch->passed = true;
      PyThreadState_SetAsyncExc(watch->thread, PyExc_KeyboardInterrupt);
    }
  } catch (const Error&) {
    // The process is ending.
  }
}

}  // namespace pyhost::detail
