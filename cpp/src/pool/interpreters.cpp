// A worker creates an interpreter on its own thread, and makes its runs there as a shared worker does in the
// main interpreter.
#include "pool/interpreters.hpp"

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "interpreter/output.hpp"
#include "pool/shared.hpp"
#include "python/gil.hpp"
#include "python/timers.hpp"
#include "run/current_run.hpp"

namespace pyhost::detail {

namespace {

#if PY_VERSION_HEX >= 0x030D0000

// Imports _datetime in the main interpreter, where the caller must be. Its types are static. Unless the main
// interpreter has initialised them, the last of several interpreters that end together frees data that
// another one has allocated (github.com/python/cpython/issues/136423).
void settle_datetime() {
  if (!steal(PyImport_ImportModule("_datetime"))) PyErr_Clear();
}

// Runs the code in the current interpreter, if `module` was imported there.
void run_if_imported(const char* module, const char* code) {
  if (PyDict_GetItemString(PyImport_GetModuleDict(), module) == nullptr) return;
  const py::object names = steal(Py_BuildValue("{sO}", "__builtins__", PyEval_GetBuiltins()));
  const py::object done =
      steal(names ? PyRun_String(code, Py_file_input, names.ptr(), names.ptr()) : nullptr);
  if (!done) PyErr_Clear();
}

// Ends the idle threads of executors, by calling the functions that `threading` calls when an interpreter
// ends. They are called on a separate thread, because they also wait for busy threads.
constexpr const char* end_executors =
    "import threading\n"
    "def end():\n"
    "    while threading._threading_atexits: threading._threading_atexits.pop()()\n"
    "threading.Thread(target=end).start()\n";

// Deletes the object that `threading` keeps for this thread. Otherwise it would be deleted when the globals
// of `threading` are gone, and print an error to stderr.
constexpr const char* forget_this_thread =
    "import threading\n"
    "vars(threading._thread_local_info).pop('_track_dummy_thread_ref', None)\n";

// A new interpreter, which is the current one of this thread while the object exists. The destructor waits
// for threads that modules have left running, at most for `patience`.
class Interpreter {
 public:
  explicit Interpreter(std::chrono::milliseconds patience) : patience_(patience) {
    // Creates interpreters one at a time. C code may initialise data that all interpreters share again for
    // each one, without a lock; posixmodule.c sorts its tables that way.
    static std::mutex starting;
    const std::lock_guard one_at_a_time(starting);
    const GilAcquire gil;
    before_ = gil.thread_state();
    settle_datetime();
    // C code that does not release this interpreter's GIL must not delay the timers of another interpreter.
    timers_.emplace();
    const PyInterpreterConfig config{.use_main_obmalloc = 0,
                                     .allow_fork = 0,
                                     .allow_exec = 0,
                                     .allow_threads = 1,
                                     .allow_daemon_threads = 0,
                                     .check_multi_interp_extensions = 1,
                                     .gil = PyInterpreterConfig_OWN_GIL};
    const PyStatus status = Py_NewInterpreterFromConfig(&here_, &config);
    if (PyStatus_Exception(status) == 0) {
      order_output();
      CurrentRun::this_thread().timers = &*timers_;
      return;
    }
    throw Error({.kind = ErrorKind::StartupFailed,
                 .phase = Phase::Start,
                 .message = std::string("an interpreter of the pool did not start: ") +
                            (status.err_msg != nullptr ? status.err_msg : "Python reported no reason"),
                 .hint = "use Isolation::Shared or Isolation::Process"});
  }

  // An interpreter in which threads are still running cannot be ended. It is leaked, and they continue.
  ~Interpreter() {
    CurrentRun::this_thread().timers = nullptr;
    timers_.reset();
    if (python_access != PythonAccess::Open) return;
    PyEval_RestoreThread(here_);
    run_if_imported("concurrent.futures.thread", end_executors);
    if (is_alone_in_time()) {
      run_if_imported("threading", forget_this_thread);
      Py_EndInterpreter(here_);
    } else {
      PyEval_SaveThread();
    }
    restore_thread_state(before_);
  }
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  Timers& timers() { return *timers_; }

 private:
  bool is_alone_in_time() const {
    constexpr std::chrono::milliseconds step(5);
    for (auto left = patience_; !is_alone(); left -= step) {
      if (left <= step) return false;
      const GilRelease no_gil;
      std::this_thread::sleep_for(step);
    }
    return true;
  }

  bool is_alone() const {
    return PyInterpreterState_ThreadHead(PyThreadState_GetInterpreter(here_)) == here_ &&
           PyThreadState_Next(here_) == nullptr;
  }

  std::chrono::milliseconds patience_;
  std::optional<Timers> timers_;
  PyThreadState* before_ = nullptr;
  PyThreadState* here_ = nullptr;
};

class InterpreterWorker : public Worker {
 public:
  InterpreterWorker(MakeHost make_host, const Options& options)
      : make_host_(std::move(make_host)), options_(options) {}

  void work(RunQueue& queue) override {
    Interpreter interpreter(options_.shutdown_timeout);
    const std::unique_ptr<Host> host = make_host_();
    set(make_shared_worker(*host, options_.callbacks.on_span), &interpreter.timers());
    worker_->work(queue);
    set(nullptr, nullptr);
  }

  // Cancels the run on the thread of this interpreter's timers. That thread may have to wait for the GIL, if
  // C code does not release it, but the caller and all other threads do not.
  void cancel() noexcept override {
    const std::lock_guard lock(requesting_);
    if (timers_ == nullptr || requested_.exchange(true)) return;
    try {
      timers_->set(Timers::Clock::now(), [this] {
        requested_ = false;
        cancel_run();
        return std::nullopt;
      });
    } catch (const Error&) {  // no thread can be started
      requested_ = false;
      cancel_run();
    }
  }

 private:
  void cancel_run() noexcept {
    const std::lock_guard lock(mutex_);
    if (worker_) worker_->cancel();
  }

  void set(std::unique_ptr<Worker> worker, Timers* timers) {
    {
      const std::lock_guard lock(requesting_);
      timers_ = timers;
    }
    const std::lock_guard lock(mutex_);
    worker_ = std::move(worker);
  }

  MakeHost make_host_;
  const Options& options_;
  std::mutex mutex_;
  std::unique_ptr<Worker> worker_;  // null without an interpreter
  std::mutex requesting_;
  Timers* timers_ = nullptr;  // null without an interpreter
  std::atomic<bool> requested_ = false;
};

#endif

}  // namespace

std::unique_ptr<Worker> make_interpreter_worker(MakeHost make_host, const Options& options) {
#if PY_VERSION_HEX >= 0x030D0000
  return std::make_unique<InterpreterWorker>(std::move(make_host), options);
#else
  static_cast<void>(make_host), static_cast<void>(options);
  throw Error(
      {.kind = ErrorKind::StartupFailed,
       .phase = Phase::Start,
       .message =
           "interpreters with a GIL of their own need Python 3.13 or later, but this is Python " PY_VERSION,
       .hint = "use Isolation::Process to run on all cores, or build pyhost for Python 3.13 or later"});
#endif
}

}  // namespace pyhost::detail
