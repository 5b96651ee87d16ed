// Each thread has a list of its runs, and there is a list of all threads.
#include "run/current_run.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "python/cpp_threads.hpp"
#include "python/gil.hpp"

namespace pyhost::detail {

namespace {

using Thread = CurrentRun::Thread;

std::atomic<RunId> next_block = 0;

// Never destroyed: threads may outlive the end of main().
struct Threads {
  std::mutex mutex;
  std::vector<Thread*> all;
};

Threads& threads() {
  static auto* const kept = new Threads;
  return *kept;
}

}  // namespace

CurrentRun::Thread::Thread() {
  PyThreadState* const here = PyGILState_GetThisThreadState();
  interpreter = here != nullptr ? PyThreadState_GetInterpreter(here) : PyInterpreterState_Main();
  const std::lock_guard lock(threads().mutex);
  threads().all.push_back(this);
}

CurrentRun::Thread::~Thread() {
  const std::lock_guard lock(threads().mutex);
  std::erase(threads().all, this);
}

CurrentRun::Thread* CurrentRun::make_thread() {
  static thread_local Thread made;
  return &made;
}

// Called for the first run of a thread, or for its first one in another interpreter. A subinterpreter takes
// its worker's thread for its main thread, so only the main interpreter needs the registration.
void CurrentRun::enter_thread(Thread& thread, PyThreadState* here) {
  thread.state = here;
  if (!is_main_thread() && PyThreadState_GetInterpreter(here) == PyInterpreterState_Main())
    register_cpp_thread();
}

RunId CurrentRun::next_block_of_ids() { return next_block.fetch_add(block, std::memory_order_relaxed); }

const CurrentRun* CurrentRun::here() noexcept { return this_thread().innermost; }

const CurrentRun* CurrentRun::find(RunId id) noexcept {
  const std::lock_guard lock(threads().mutex);
  const CurrentRun* found = nullptr;
  for (const Thread* thread : threads().all) {
    if (thread->interpreter != PyInterpreterState_Get()) continue;
    for (const CurrentRun* run = thread->innermost; run != nullptr; run = run->outer_) {
      if (run->id_ == id) found = run;
    }
  }
  return found;
}

std::vector<const CurrentRun*> CurrentRun::outermost() {
  const std::lock_guard lock(threads().mutex);
  std::vector<const CurrentRun*> found;
  for (const Thread* thread : threads().all) {
    if (thread->interpreter != PyInterpreterState_Get()) continue;
    const CurrentRun* run = thread->innermost;
    while (run != nullptr && run->outer_ != nullptr) run = run->outer_;
    if (run != nullptr) found.push_back(run);
  }
  return found;
}

const Scheduled* CurrentRun::scheduled() const noexcept {
  const CurrentRun* run = this;
  while (run->scheduled_ == nullptr && run->is_part()) run = run->outer_;
  return run->scheduled_;
}

std::string running_module() {
  if (const CurrentRun* run = CurrentRun::here()) return std::string(run->module());
  std::string found;
  const auto back_of = [](PyFrameObject* frame) {
    return steal(reinterpret_cast<PyObject*>(PyFrame_GetBack(frame)));
  };
  for (py::object frame = steal(reinterpret_cast<PyObject*>(PyThreadState_GetFrame(PyThreadState_Get())));
       frame; frame = back_of(reinterpret_cast<PyFrameObject*>(frame.ptr()))) {
    const py::object globals = steal(PyObject_GetAttrString(frame.ptr(), "f_globals"));
    PyObject* name = globals ? PyDict_GetItemString(globals.ptr(), "__name__") : nullptr;
    constexpr std::string_view package = "modules.";
    if (view(name).starts_with(package)) found = view(name).substr(package.size());
  }
  return found;
}

}  // namespace pyhost::detail
