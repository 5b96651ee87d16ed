// A worker makes its interpreter on its own thread and works in it as a shared worker does in the first one.
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

// The types of _datetime are static, and the last of several interpreters that end together frees what
// another one made of them (github.com/python/cpython/issues/136423), unless it is the main one that made it.
// The caller is in that.
void settle_datetime() {
  if (!steal(PyImport_ImportModule("_datetime"))) PyErr_Clear();
}

// Runs this in the interpreter that the caller is in, if a module has imported that other one.
void run_if_imported(const char* module, const char* code) {
  if (PyDict_GetItemString(PyImport_GetModuleDict(), module) == nullptr) return;
  const py::object names = steal(Py_BuildValue("{sO}", "__builtins__", PyEval_GetBuiltins()));
  const py::object done =
      steal(names ? PyRun_String(code, Py_file_input, names.ptr(), names.ptr()) : nullptr);
  if (!done) PyErr_Clear();
}

// Idle threads of executors wait for their end, which comes from what `threading` calls when an interpreter
// ends; that is done on a thread, since it waits for those that are busy.
constexpr const char* end_executors =
    "import threading\n"
    "def end():\n"
    "    while threading._threading_atexits: threading._threading_atexits.pop()()\n"
    "threading.Thread(target=end).start()\n";

// What `threading` has of this thread would be given up once it has lost its globals, and say so on stderr.
constexpr const char* forget_this_thread =
    "import threading\n"
    "vars(threading._thread_local_info).pop('_track_dummy_thread_ref', None)\n";

// The interpreter of this thread, which it is in for as long as it lives. Its end waits for threads that
// modules left behind, but no longer than that.
class Interpreter {
 public:
  explicit Interpreter(std::chrono::milliseconds patience) : patience_(patience) {
    // What C code keeps for all interpreters, it sorts and fills once more for each: posixmodule.c does.
    static std::mutex starting;
    const std::lock_guard one_at_a_time(starting);
    const GilAcquire gil;
    before_ = gil.thread_state();
    settle_datetime();
    // A run in C code that keeps this interpreter's GIL must not delay the timers of another interpreter.
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
                            (status.err_msg != nullptr ? status.err_msg : "Python says no more"),
                 .hint = "Isolation::Shared and Isolation::Process do without"});
  }

  // One in which modules left threads running cannot be ended: it stays, as they do.
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

  // Where C code keeps the GIL, this waits for it on the thread of the timers, and all others go on.
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
  std::unique_ptr<Worker> worker_;  // while there is an interpreter
  std::mutex requesting_;
  Timers* timers_ = nullptr;  // the same
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
           "interpreters with a GIL of their own need Python 3.13 or later, and this is Python " PY_VERSION,
       .hint = "use Isolation::Process for all cores, or build pyhost with a later Python"});
#endif
}

}  // namespace pyhost::detail
