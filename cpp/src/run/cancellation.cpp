// Any thread can request a cancellation. The timer thread then raises pyhost.Stopped in the run, or wakes the
// main thread by a signal, whose handler raises it there.
#include "run/cancellation.hpp"

#include <chrono>
#include <utility>

#include "interpreter/output.hpp"
#include "python/gil.hpp"
#include "python/native_module.hpp"
#include "python/traceback.hpp"
#include "run/event_loops.hpp"
#include "run/python_cancelled.hpp"
#include "run/wakeup_signal.hpp"

namespace pyhost::detail {

const RunOptions no_options;

namespace {

using namespace std::chrono_literals;
using Clock = Cancellation::Clock;

constexpr auto raise_interval = 50ms;
constexpr auto gil_patience = 250ms;  // for C code that does not release the GIL
constexpr std::size_t longest_name = 1000;

// Whether this is the exception of a cancelled task, or a group of only such exceptions, as trio's nurseries
// raise.
bool is_cancelled_error(const py::object& raised, int most_levels = 10) {
  const std::string type = type_of(raised.ptr());
  if (type == "asyncio.exceptions.CancelledError" || type == "trio.Cancelled") return true;
  const py::object members = steal(PyObject_GetAttrString(raised.ptr(), "exceptions"));
  PyErr_Clear();
  if (most_levels == 0 || !members || !PyTuple_Check(members.ptr())) return false;
  const Py_ssize_t size = PyTuple_GET_SIZE(members.ptr());
  for (Py_ssize_t i = 0; i < size; ++i) {
    if (!is_cancelled_error(borrow(PyTuple_GET_ITEM(members.ptr(), i)), most_levels - 1)) return false;
  }
  return size > 0;
}

}  // namespace

void prepare_cancellation() {
  if (native_attribute("Stopped"))
    return;  // added by an earlier host, whose `wake` may be the signal's handler
  add_wakeup_function();
  add_cancelled_functions();
}

// Defined here, so that current_run.hpp need not include cancellation.hpp.
void CurrentRun::end_cancellation() {
  cancellation_->end();
  std::destroy_at(&cancellation_);
}

std::shared_ptr<Cancellation> Cancellation::of(const CurrentRun& run) {
  if (!run.cancellation()) run.set_cancellation(std::shared_ptr<Cancellation>(new Cancellation(run)));
  return run.cancellation();
}

// A run that was started from within an event loop must not cancel that loop's tasks. There is no such loop
// around the outermost run in a Python that pyhost started.
Cancellation::Cancellation(const CurrentRun& run)
    : thread_(run.thread()),
      interpreter_(PyInterpreterState_Get()),
      module_(run.module()),
      begun_(Clock::now()),
      knows_outer_loop_(run.outer() == nullptr && has_started_python()) {}

void Cancellation::prepare(const RunOptions& options, Clock::time_point begun) {
  begun_ = begun;
  outer_loop_ = running_asyncio_loop(thread_);
  outer_task_ = thread_.cancel_task.ptr();
  knows_outer_loop_ = true;
  thread_.arrived = false;
  if (options.timeout) timeout_ = clamp_wait(*options.timeout);
  if (options.import_timeout) import_timeout_ = clamp_wait(*options.import_timeout);
  limit_ = timeout_;
  grace_ = options.grace;
  on_stuck_ = options.on_stuck;
  token_ = options.stop;
  enable_wakeup_signal(thread_);
  if (limit_) start_limit();
  // The callback needs no shared ownership: it is destroyed with this object.
  if (token_.stop_possible()) callback_.emplace(token_, [this] { request(ErrorKind::Cancelled); });
  throw_if_requested();
}

void Cancellation::start_limit() {
  try {
    set_timers(begun_ + *limit_);
  } catch (const Error& failed) {
    end();
    throw no_timer_error(module_, failed);
  }
}

// Throws if the run must not begin.
void Cancellation::throw_if_requested() {
  if (limit_ && Clock::now() >= begun_ + *limit_) request(ErrorKind::TimedOut);
  if (!requested_) return;
  end();
  throw not_started_error(described());
}

void Cancellation::begin_import() {
  if (!import_timeout_) return;
  try {
    replace_limit(import_timeout_, true);
  } catch (const Error& failed) {
    end();
    throw no_timer_error(module_, failed);
  }
}

void Cancellation::end_import() {
  if (import_timeout_) replace_limit(timeout_, false);
}

// Once the cancellation was requested, the limit stays as it is, because the error names it.
void Cancellation::replace_limit(std::optional<std::chrono::milliseconds> limit, bool is_of_import) {
  const std::lock_guard lock(requesting_);
  if (requested_ || over_) return;
  limit_ = limit;
  limits_import_ = is_of_import;
  begun_ = Clock::now();
  limit ? set_timers_locked(begun_ + *limit) : remove_timers_locked();
}

void Cancellation::set_timers(Clock::time_point when) {
  const std::lock_guard lock(requesting_);
  if (!over_) set_timers_locked(when);
}

void Cancellation::set_timers_locked(Clock::time_point when) {
  const std::shared_ptr<Cancellation> self = shared_from_this();
  remove_timers_locked();
  gil_timer_ = gil_timers().set(when, [self] { return self->on_timer(); });
  if (!on_stuck_ && !has_wakeup_signal(thread_)) return;
  no_gil_timer_ = Timers::without_gil().set(when, [self] { return self->on_timer_without_gil(); });
}

void Cancellation::remove_timers_locked() {
  if (gil_timer_) gil_timers().remove(*gil_timer_);
  if (no_gil_timer_) Timers::without_gil().remove(*no_gil_timer_);
}

void Cancellation::request(ErrorKind why) noexcept {
  {
    const std::lock_guard lock(requesting_);
    if (requested_) return;
    why_ = why;
    requested_at_ = Clock::now();
    requested_ = true;
  }
  wake_cancelled_waiters();
  try {
    if (why == ErrorKind::Cancelled) set_timers(Clock::now());
  } catch (const Error&) {
    // No timer thread can be started. A module that checks pyhost.cancelled still sees the request.
  }
}

void Cancellation::postpone(std::chrono::nanoseconds by) noexcept {
  const std::lock_guard lock(requesting_);
  begun_ += by;
}

// Returns the deadline if it was moved after the timer was set. The timer then waits for it.
std::optional<Clock::time_point> Cancellation::postponed_deadline() noexcept {
  const std::lock_guard lock(requesting_);
  if (requested_ || !limit_) return std::nullopt;
  const Clock::time_point deadline = begun_ + *limit_;
  return deadline > Clock::now() ? std::optional(deadline) : std::nullopt;
}

void Cancellation::end() noexcept {
  callback_.reset();
  {
    const std::lock_guard lock(requesting_);
    over_ = true;
    thread_.woken = false;  // a signal that arrives later raises nothing
    remove_timers_locked();
  }
  if (!on_stuck_) return;
  const GilRelease no_gil;
  const std::lock_guard lock(reporting_);
}

std::optional<Clock::time_point> Cancellation::on_timer() noexcept {
  try {
    if (const auto later = postponed_deadline()) return later;
    request(ErrorKind::TimedOut);
    const InterpreterGilAcquire gil(interpreter_);
    if (over_) return std::nullopt;
    gil_was_free_ = true;
    const py::error_scope kept;
    const bool cancels = cancel_tasks_when_due();
    if (over_) return std::nullopt;  // the GIL may have been released
    const bool pending = thread_.is_pending();
    if (pending) arrived_late_ = true;
    if (thread_.raised && !pending) {
      thread_.arrived = true;
      if (!arrived_at_) arrived_at_ = Clock::now();
    }
    update_place();
    const auto since = Clock::now() - requested_at_;
    const bool has_time = cancels && grace_ > 0ms;
    const bool may_raise = thread_.inside > 0 && !pending && !in_import_ && !has_time && !is_cleaning_up();
    if (may_raise && since >= (listens_ ? grace_ / 2 : 0ms)) raise();
    if (since >= grace_ && on_stuck_ && !stuck_reported_) {
      flush_output_of_all_threads();
      report_stuck(position(pending));
    }
    return Clock::now() + raise_interval;
  } catch (const Error&) {
    return std::nullopt;  // the process is ending
  }
}

// The next exception must not interrupt a `finally` that the last one has started.
bool Cancellation::is_cleaning_up() const { return arrived_at_ && Clock::now() - *arrived_at_ < grace_ / 2; }

std::optional<Clock::time_point> Cancellation::on_timer_without_gil() noexcept {
  if (const auto later = postponed_deadline()) return later;
  request(ErrorKind::TimedOut);
  if (over_) return std::nullopt;
  const auto since = Clock::now() - requested_at_;
  if (since >= gil_patience && !gil_was_free_) wake_without_gil();
  if (since >= grace_ + gil_patience) report_stuck(RunPosition::Unknown);
  return Clock::now() + gil_patience;
}

// Interrupts C code that holds the GIL and checks for signals, such as a regular expression.
void Cancellation::wake_without_gil() {
  const std::lock_guard lock(requesting_);
  if (over_ || !has_wakeup_signal(thread_)) return;
  send_wakeup_signal(thread_);
}

// Cancels the task that this run awaits, or the tasks of an event loop that the module runs itself, and
// repeats that until they end. Such a loop may swallow an exception that is raised in it. It also waits in C
// code, where no exception arrives, so it is woken. Tasks may run on for as long as a module that checks
// pyhost.cancelled, and clean up for as long as a module that was interrupted. Returns whether tasks were
// cancelled now.
bool Cancellation::cancel_tasks_when_due() {
  const bool own_task = runs_own_task();
  const bool may_run_loop = !own_task && thread_.inside > 0 && knows_outer_loop_;
  const py::object loop = may_run_loop ? find_event_loop(thread_, outer_loop_) : py::object();
  if (over_ || (!own_task && !loop)) return false;
  const auto now = Clock::now();
  const bool due = !task_cancelled_at_ || now - *task_cancelled_at_ >= grace_ / 2;
  if (due) {
    listens_ = true;
    task_cancelled_at_ = now;
  }
  if (loop) {
    due ? cancel_tasks(loop) : wake_event_loop(loop);
  } else if (due) {
    const py::object cancel = thread_.cancel_task;
    if (!steal(PyObject_CallNoArgs(cancel.ptr()))) PyErr_Clear();
  }
  return due;
}

void Cancellation::raise() {
  thread_.raised = true;
  if (raises_stopped(thread_)) {
    send_wakeup_signal(thread_);
  } else {
    PyThreadState_SetAsyncExc(thread_.identity, stopped_type().ptr());
  }
}

// Finds the innermost line of the module's own code, or of any code if there is none. The import machinery
// must not be interrupted: it would never release its locks, and no thread could import that module any more.
void Cancellation::update_place() {
  in_import_ = false;
  Frame innermost;
  py::object frame = steal(reinterpret_cast<PyObject*>(PyThreadState_GetFrame(thread_.state)));
  while (frame) {
    auto* at = reinterpret_cast<PyFrameObject*>(frame.ptr());
    const py::object code = steal(reinterpret_cast<PyObject*>(PyFrame_GetCode(at)));
    const auto attribute = [&](const char* name) {
      return text_of(steal(PyObject_GetAttrString(code.ptr(), name)).ptr(), longest_name);
    };
    Frame here{.file = attribute("co_filename"),
               .line = PyFrame_GetLineNumber(at),
               .function = attribute("co_name")};
    PyErr_Clear();
    const bool own_code = origin_of(here) == Origin::Module;
    if (innermost.file.empty()) in_import_ = here.file.starts_with("<frozen importlib");
    if (innermost.file.empty() || own_code) innermost = std::move(here);
    if (own_code) break;
    frame = steal(reinterpret_cast<PyObject*>(PyFrame_GetBack(at)));
  }
  place_ = std::move(innermost);
}

RunPosition Cancellation::position(bool pending) const {
  if (pending) return RunPosition::InC;
  if (in_import_) return RunPosition::InImport;
  return thread_.inside > 0 ? RunPosition::InPython : RunPosition::Uninterruptible;
}

void Cancellation::report_stuck(RunPosition position) {
  if (!on_stuck_ || stuck_reported_.exchange(true)) return;
  const std::lock_guard lock(reporting_);
  if (over_) return;
  const Error error = stuck_error(described(), position, place_);
  const GilReleaseIfHeld no_gil;
  try {
    on_stuck_(error);
  } catch (...) {
    // Exceptions from on_stuck are ignored.
  }
}

CancelledEnd Cancellation::end_of(const py::object& raised) const {
  const bool was_stopped = raised && (PyErr_GivenExceptionMatches(raised.ptr(), stopped_type().ptr()) != 0 ||
                                      (task_cancelled_at_ && is_cancelled_error(raised)));
  if (was_stopped) return arrived_late_ ? CancelledEnd::StoppedLate : CancelledEnd::Stopped;
  if (listens_ && !thread_.arrived && !thread_.raised) return CancelledEnd::ByItself;
  if (thread_.arrived) return CancelledEnd::CaughtStopped;
  return in_import_ ? CancelledEnd::AfterImport : CancelledEnd::NotInterrupted;
}

Error Cancellation::error_for(Phase phase, const py::object& raised) const {
  const CancelledEnd end = end_of(raised);
  return ended_error(described(), phase, end, place_, raised ? describe(raised.ptr()) : PythonException());
}

void postpone_deadlines(std::chrono::nanoseconds by) noexcept {
  for (const CurrentRun* run = CurrentRun::here(); run != nullptr; run = run->outer()) {
    if (run->cancellation()) run->cancellation()->postpone(by);
  }
  if (postponed_total != nullptr) postponed_total->fetch_add(by.count(), std::memory_order_relaxed);
}

void throw_if_cancelled_here(const CurrentRun& run, Phase phase) {
  for (const CurrentRun* at = &run; at != nullptr; at = at->outer()) {
    const std::shared_ptr<Cancellation>& cancellation = at->cancellation();
    if (!cancellation || !cancellation->requested() || cancellation->over()) continue;
    const py::object raised = PyErr_Occurred() != nullptr ? take_raised() : py::object();
    const Error error = cancellation->error_for(phase, raised);
    if (at->id() == run.id()) cancellation->end();
    throw error;
  }
}

}  // namespace pyhost::detail
