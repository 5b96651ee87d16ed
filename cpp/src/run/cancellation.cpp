// A stop is asked for on any thread, and raised by the thread of the timers, or by the main thread itself
// after a signal: only that ends waiting in C code.
#include "run/cancellation.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <system_error>
#include <vector>

#include "error/source_lines.hpp"
#include "interpreter/output.hpp"
#include "python/gil.hpp"
#include "python/native_module.hpp"
#include "python/traceback.hpp"

namespace pyhost::detail {

namespace {

using namespace std::chrono_literals;
using Clock = Cancellation::Clock;
using Thread = CurrentRun::Thread;

constexpr auto between = 50ms;       // two raises
constexpr auto patience = 250ms;     // with C code that does not let the GIL go
constexpr int wake_signal = SIGURG;  // ignored by default, and as good as never used
constexpr std::size_t longest_name = 1000;

// For all that wait in pyhost.cancelled. Never destroyed: threads may outlive the end of main().
struct Bell {
  std::mutex mutex;
  std::condition_variable rung;
};

Bell& bell() {
  static auto* const kept = new Bell;
  return *kept;
}

// --- what Python sees

py::object side(const char* name) {
  const py::object module = borrow(PyImport_AddModule("_pyhost"));
  py::object found = module ? steal(PyObject_GetAttrString(module.ptr(), name)) : py::object();
  PyErr_Clear();
  return found;
}

py::object stopped_type() {
  py::object type = side("Stopped");
  return type && PyExceptionClass_Check(type.ptr()) ? type : borrow(PyExc_KeyboardInterrupt);
}

std::vector<std::shared_ptr<Cancellation>> stops_here() {
  std::vector<std::shared_ptr<Cancellation>> stops;
  for (const CurrentRun* run = CurrentRun::here(); run != nullptr; run = run->outer()) {
    stops.push_back(Cancellation::of(*run));
    stops.back()->listen();
  }
  return stops;
}

bool is_requested(const std::vector<std::shared_ptr<Cancellation>>& stops) {
  for (const std::shared_ptr<Cancellation>& stop : stops) {
    if (stop->requested() && !stop->over()) return true;
  }
  return false;
}

PyObject* is_set(PyObject* /*self*/, PyObject* /*none*/) {
  return PyBool_FromLong(is_requested(stops_here()));
}

// Waits so many seconds at most; in slices, so that Ctrl-C is heard.
PyObject* wait(PyObject* /*self*/, PyObject* seconds) {
  constexpr double most = 1e9;  // what the clock can still add
  const double limit = seconds == Py_None ? most : PyFloat_AsDouble(seconds);
  if (PyErr_Occurred() != nullptr) return nullptr;
  if (std::isnan(limit)) return PyErr_SetString(PyExc_ValueError, "a time to wait cannot be NaN"), nullptr;
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                      std::chrono::duration<double>(std::clamp(limit, 0.0, most)));
  const std::vector<std::shared_ptr<Cancellation>> stops = stops_here();
  while (!is_requested(stops) && Clock::now() < end) {
    {
      const GilRelease no_gil;
      std::unique_lock lock(bell().mutex);
      bell().rung.wait_until(lock, std::min(end, Clock::now() + between),
                             [&] { return is_requested(stops); });
    }
    if (PyErr_CheckSignals() != 0) return nullptr;
  }
  return PyBool_FromLong(is_requested(stops));
}

// The handler of the signal that wakes the main thread: raises the stop there and then.
PyObject* wake(PyObject* /*self*/, PyObject* /*signal and frame*/) {
  Thread& thread = CurrentRun::this_thread();
  const bool woken = thread.woken.exchange(false);
  if (!woken || !thread.inside) return borrow(Py_None).release().ptr();
  PyErr_SetNone(stopped_type().ptr());
  return nullptr;
}

// --- waking a thread that waits in C code

// Python's own, as it is for the signal that was taken: another one is somebody else's.
std::atomic<void (*)(int)> taken_handler = nullptr;

// Takes the signal, if this is the main thread and nobody else has a use for it.
void enable_wakeup_signal(Thread& thread) {
  if (thread.wakes != Thread::Wakes::NotAsked) return;
  thread.wakes = Thread::Wakes::No;
  struct sigaction now{};
  if (sigaction(wake_signal, nullptr, &now) != 0 || now.sa_handler != SIG_DFL) return;
  const py::object signal = steal(PyImport_ImportModule("_signal"));
  const py::object handler = side("wake");
  const py::object taken =
      signal && handler ? steal(PyObject_CallMethod(signal.ptr(), "signal", "iO", wake_signal, handler.ptr()))
                        : py::object();
  PyErr_Clear();  // it takes the main thread
  if (!taken || sigaction(wake_signal, nullptr, &now) != 0) return;
  taken_handler = now.sa_handler;
  thread.wakes = Thread::Wakes::Yes;
}

// Whether the signal still comes to Python.
bool is_heard(const Thread& thread) {
  struct sigaction now{};
  return thread.wakes == Thread::Wakes::Yes && sigaction(wake_signal, nullptr, &now) == 0 &&
         now.sa_handler == taken_handler;
}

// Whether it comes to our handler, perhaps as an earlier host has set it.
bool can_wake(const Thread& thread) {
  if (!is_heard(thread)) return false;
  const py::object signal = steal(PyImport_ImportModule("_signal"));
  const py::object handler =
      signal ? steal(PyObject_CallMethod(signal.ptr(), "getsignal", "i", wake_signal)) : py::object();
  PyErr_Clear();
  return handler && PyCFunction_Check(handler.ptr()) && PyCFunction_GetFunction(handler.ptr()) == wake;
}

Frame with_source(Frame frame) {
  if (frame.line > 0) frame.source = SourceFiles().line(frame.file, frame.line);
  return frame;
}

}  // namespace

void prepare_cancellation() {
  static PyMethodDef functions[] = {{"is_set", is_set, METH_NOARGS, nullptr},
                                    {"wait", wait, METH_O, nullptr},
                                    {"wake", wake, METH_VARARGS, nullptr}};
  if (side("Stopped")) return;  // by an earlier host; its `wake` may be a signal's handler
  for (PyMethodDef& each : functions) add_native_function(each);
  const py::object type =
      require(PyErr_NewExceptionWithDoc("pyhost.Stopped",
                                        "The host wants this run to stop: clean up, and let it pass.",
                                        PyExc_BaseException, nullptr),
              "making pyhost.Stopped");
  set_native_attribute("Stopped", type);
}

// Defined here, so that runs need not know how they are stopped.
void CurrentRun::end_cancellation() const { cancellation_->end(); }

void enable_wakeup_signal() { enable_wakeup_signal(CurrentRun::this_thread()); }

std::string in_seconds(Clock::duration time) {
  const auto rounded = std::chrono::round<std::chrono::milliseconds>(time);
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.10g s", std::chrono::duration<double>(rounded).count());
  return text.data();
}

void InModuleCode::take_back() noexcept {
  if (!thread_.is_pending()) thread_.arrived = true;
  thread_.raised = false;
  thread_.woken = false;
  drop_async_exception(thread_.state);
}

std::shared_ptr<Cancellation> Cancellation::of(const CurrentRun& run) {
  if (!run.cancellation()) run.set_cancellation(std::shared_ptr<Cancellation>(new Cancellation(run)));
  return run.cancellation();
}

void Cancellation::prepare(const RunOptions& options, Clock::time_point begun) {
  begun_ = begun;
  thread_.arrived = false;
  if (options.timeout) timeout_ = clamp_wait(*options.timeout);
  grace_ = options.grace;
  on_stuck_ = options.on_stuck;
  token_ = options.stop;
  enable_wakeup_signal(thread_);
  if (timeout_) watch_deadline();
  // It holds no owner of this: it goes with it.
  if (token_.stop_possible()) callback_.emplace(token_, [this] { request(ErrorKind::Cancelled); });
  must_begin();
}

// There may be no thread to be had for it.
void Cancellation::watch_deadline() {
  try {
    set_timers(begun_ + *timeout_);
  } catch (const std::system_error& failed) {
    end();
    throw Error({.kind = ErrorKind::StartupFailed,
                 .phase = Phase::Run,
                 .module = module_,
                 .message = "module '" + module_ + "' was not run, since nothing can watch its timeout: " +
                            "no thread could be made: " + failed.what(),
                 .hint = "allow the process more threads, or run it without a timeout"});
  }
}

// A run that is to stop before it has begun.
void Cancellation::must_begin() {
  if (timeout_ && Clock::now() >= begun_ + *timeout_) request(ErrorKind::TimedOut);
  if (!requested_) return;
  end();
  throw Error({.kind = why_,
               .phase = Phase::Run,
               .module = module_,
               .message = "module '" + module_ + "' was not run any further, " +
                          (why_ == ErrorKind::TimedOut ? "because " + deadline() + " had passed"
                                                       : std::string("as was wished"))});
}

void Cancellation::set_timers(Clock::time_point when) {
  const std::lock_guard lock(requesting_);
  if (over_) return;
  const std::shared_ptr<Cancellation> self = shared_from_this();
  if (inside_) inside().remove(*inside_);
  inside_ = inside().set(when, [self] { return self->on_timer(); });
  if (!on_stuck_ && !is_heard(thread_)) return;
  if (outside_) Timers::without_gil().remove(*outside_);
  outside_ = Timers::without_gil().set(when, [self] { return self->on_timer_without_gil(); });
}

void Cancellation::request(ErrorKind why) noexcept {
  {
    const std::lock_guard lock(requesting_);
    if (requested_) return;
    why_ = why;
    requested_at_ = Clock::now();
    requested_ = true;
  }
  {
    const std::lock_guard lock(bell().mutex);
  }
  bell().rung.notify_all();
  try {
    if (why == ErrorKind::Cancelled) set_timers(Clock::now());
  } catch (const std::system_error&) {
    // No thread to be had: who listens is told all the same.
  }
}

void Cancellation::end() noexcept {
  callback_.reset();
  {
    const std::lock_guard lock(requesting_);
    over_ = true;
    thread_.woken = false;  // a signal that is still under way wakes nobody
    if (inside_) inside().remove(*inside_);
    if (outside_) Timers::without_gil().remove(*outside_);
  }
  if (!on_stuck_) return;
  const GilRelease no_gil;
  const std::lock_guard lock(telling_);
}

std::optional<Clock::time_point> Cancellation::on_timer() noexcept {
  try {
    request(ErrorKind::TimedOut);
    const InterpreterGilAcquire gil(interpreter_);
    if (over_) return std::nullopt;
    entered_ = true;
    const py::error_scope kept;
    const bool pending = thread_.is_pending();
    if (pending) in_c_ = true;
    if (thread_.raised && !pending) {
      thread_.arrived = true;
      if (!arrived_at_) arrived_at_ = Clock::now();
    }
    look();
    const auto now = Clock::now();
    const bool cancels =
        thread_.cancel_task && (!task_cancelled_at_ || now - *task_cancelled_at_ >= grace_ / 2);
    if (cancels) cancel_task(now);
    if (over_) return std::nullopt;  // which lets the GIL go
    const auto since = now - requested_at_;
    const bool has_time = cancels && grace_ > 0ms;
    const bool may_raise = thread_.inside && !pending && !imports_ && !has_time && !may_clean_up();
    if (may_raise && since >= (listens_ ? grace_ / 2 : 0ms)) raise();
    if (since >= grace_ && on_stuck_ && !stuck_told_) {
      flush_output();
      tell_stuck(where(pending));
    }
    return Clock::now() + between;
  } catch (const Error&) {
    return std::nullopt;  // the process is ending
  }
}

// What `finally` does is not to be torn apart by the next one.
bool Cancellation::may_clean_up() const { return arrived_at_ && Clock::now() - *arrived_at_ < grace_ / 2; }

std::optional<Clock::time_point> Cancellation::on_timer_without_gil() noexcept {
  request(ErrorKind::TimedOut);
  if (over_) return std::nullopt;
  const auto since = Clock::now() - requested_at_;
  if (since >= patience && !entered_) wake_from_outside();
  if (since >= grace_ + patience) tell_stuck(Where::InC);
  return Clock::now() + patience;
}

// C code that holds the GIL and looks for signals, as a regular expression does.
void Cancellation::wake_from_outside() {
  const std::lock_guard lock(requesting_);
  if (over_ || !is_heard(thread_)) return;
  thread_.woken = true;
  pthread_kill(thread_.handle, wake_signal);
}

// Its code may run on for as long as one that listens, and clean up for as long as one that is stopped.
void Cancellation::cancel_task(Clock::time_point now) {
  listens_ = true;
  task_cancelled_at_ = now;
  const py::object cancel = thread_.cancel_task;
  if (!steal(PyObject_CallNoArgs(cancel.ptr()))) PyErr_Clear();
}

void Cancellation::raise() {
  thread_.raised = true;
  if (can_wake(thread_)) {
    thread_.woken = true;
    pthread_kill(thread_.handle, wake_signal);
  } else {
    PyThreadState_SetAsyncExc(thread_.identity, stopped_type().ptr());
  }
}

// The innermost line of the module's own, or of whoever's there is. The machinery of imports keeps locks,
// which it would not give back if it were interrupted: what is imported could not be imported by anybody any
// more.
void Cancellation::look() {
  imports_ = false;
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
    if (innermost.file.empty()) imports_ = here.file.starts_with("<frozen importlib");
    if (innermost.file.empty() || own_code) innermost = std::move(here);
    if (own_code) break;
    frame = steal(reinterpret_cast<PyObject*>(PyFrame_GetBack(at)));
  }
  place_ = std::move(innermost);
}

// "its deadline of 2 s"
std::string Cancellation::deadline() const {
  return why_ == ErrorKind::TimedOut ? "its deadline of " + in_seconds(*timeout_) : "the wish that it stop";
}

// "module 'x'"; what has no module is what modules left behind.
std::string Cancellation::subject() const {
  return module_.empty() ? "what modules left behind" : "module '" + module_ + "'";
}

// Code that runs outside of a call into the module, as a __del__ does, is in machinery, too.
Cancellation::Where Cancellation::where(bool pending) const {
  if (pending) return Where::InC;
  return imports_ || !thread_.inside ? Where::InMachinery : Where::InPython;
}

void Cancellation::tell_stuck(Where where) {
  if (!on_stuck_ || stuck_told_.exchange(true)) return;
  const std::lock_guard lock(telling_);
  if (over_) return;
  const bool unknown = !holds_gil();
  const auto what = [&]() -> std::string {
    if (unknown) return "in C code that does not let go of Python, somewhere after this line";
    if (where == Where::InC) return "in C code, called here, which does not return";
    if (where == Where::InPython) return "here, and catches pyhost.Stopped";
    return imports_
               ? "in Python's import machinery, which is not interrupted, and may wait for another thread"
               : "in code that is not interrupted, such as a __del__";
  };
  const Error error({.kind = why_,
                     .phase = Phase::Run,
                     .module = module_,
                     .message = subject() + " still runs " + in_seconds(Clock::now() - requested_at_) +
                                " after " + deadline() + ": it is " + what(),
                     .hint = where == Where::InPython
                                 ? "`except BaseException` has to let pyhost.Stopped pass"
                                 : "what cannot be interrupted can only be ended with its process",
                     .place = unknown ? Frame() : with_source(place_)});
  const GilReleaseIfHeld no_gil;
  try {
    on_stuck_(error);
  } catch (...) {
    // There is nobody to tell.
  }
}

Error Cancellation::told(Phase phase, const py::object& raised) const {
  const bool stopped =
      raised && (PyErr_GivenExceptionMatches(raised.ptr(), stopped_type().ptr()) != 0 ||
                 (task_cancelled_at_ && type_of(raised.ptr()) == "asyncio.exceptions.CancelledError"));
  const bool by_itself = listens_ && !thread_.arrived && !thread_.raised;
  const std::string late = in_seconds(Clock::now() - requested_at_) + " after " + deadline();
  std::string message = subject() + " ";
  if (stopped && in_c_) {
    message += "was stopped only " + late + ": till then it was in C code";
  } else if (stopped) {
    message += why_ == ErrorKind::TimedOut ? "was stopped at " + deadline() : "was stopped, as was wished";
  } else {
    message += "ended " + late;
    message += by_itself         ? ", of which it had been told"
               : thread_.arrived ? ": it caught pyhost.Stopped"
               : imports_        ? ": it was in Python's import machinery, which is not interrupted"
                                 : ": it was in C code, which could not be interrupted";
  }
  return Error({.kind = why_,
                .phase = phase,
                .module = module_,
                .message = std::move(message),
                .place = stopped ? Frame() : with_source(place_),
                .exception = raised ? describe(raised.ptr()) : PythonException()});
}

void throw_if_cancelled_here(const CurrentRun& run, Phase phase) {
  for (const CurrentRun* at = &run; at != nullptr; at = at->outer()) {
    const std::shared_ptr<Cancellation>& stop = at->cancellation();
    if (!stop || !stop->requested() || stop->over()) continue;
    const py::object raised = PyErr_Occurred() != nullptr ? take_raised() : py::object();
    const Error error = stop->told(phase, raised);
    if (at->id() == run.id()) stop->end();
    throw error;
  }
}

}  // namespace pyhost::detail
