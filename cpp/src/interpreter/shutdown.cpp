// Does what Py_FinalizeEx does for a module's author, without its teardown. A teardown would destroy the
// interpreter while threads still run and handles still exist.
#include "interpreter/shutdown.hpp"

#include <cxxabi.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "error/number_text.hpp"
#include "error/system_limits.hpp"
#include "interpreter/open_files.hpp"
#include "interpreter/output.hpp"
#include "pyhost/main.hpp"
#include "python/gil.hpp"

namespace pyhost::detail {

namespace {

using namespace std::chrono_literals;

std::atomic<std::chrono::milliseconds> shutdown_timeout{5s};

// Time for the report about what hangs. After it, the process ends without a report.
constexpr auto report_timeout = 1s;

// Time that the shutdown waits for C code that computes on halted threads.
constexpr auto computing_timeout = 500ms;

// The steps of the shutdown, in this order. Each is done once, by the thread that shuts down or by the watch
// thread.
enum class Step { Threads, AtExit, Output, Files, Garbage, Done };

std::atomic<Step> at = Step::Threads;

// Calls a function of a module, if the module was imported. Failures can only be reported on stderr.
void call_at_end(const char* module, const char* function) {
  const py::object name = steal(PyUnicode_FromString(module));
  const py::object imported = name ? steal(PyImport_GetModule(name.ptr())) : py::object();
  if (!imported) return PyErr_Clear();
  const py::object done = steal(PyObject_CallMethod(imported.ptr(), function, nullptr));
  if (!done) PyErr_WriteUnraisable(nullptr);
}

// Returns whether the thread was not started by `threading`. Nothing waits for such a thread.
bool is_dummy(PyObject* thread) { return std::string_view(Py_TYPE(thread)->tp_name) == "_DummyThread"; }

// Up to Python 3.12 `threading` also waits for the thread that started Python, if another thread ends the
// process. That thread belongs to the application, and may have ended without Python noticing.
void leave_main_thread_out() {
  PyObject* const threading = PyDict_GetItemString(PyImport_GetModuleDict(), "threading");
  const auto attribute = [](PyObject* object, const char* name) {
    return steal(object != nullptr ? PyObject_GetAttrString(object, name) : nullptr);
  };
  const py::object main = attribute(threading, "_main_thread");
  const py::object identity = attribute(main.ptr(), "ident");
  if (identity && PyLong_AsUnsignedLong(identity.ptr()) != PyThread_get_thread_ident()) {
    const py::object locks = attribute(threading, "_shutdown_locks");
    const py::object lock = attribute(main.ptr(), "_tstate_lock");
    if (locks && lock) steal(PyObject_CallMethod(locks.ptr(), "discard", "O", lock.ptr()));
  }
  PyErr_Clear();
}

// Unloaded modules and everything that they refer to are garbage now. Some objects write data in their
// destructors. The files are closed first, because garbage is not destroyed in the order in which files wrap
// each other.
void collect_garbage() {
  const py::object gc = steal(PyImport_ImportModule("gc"));
  if (gc) steal(PyObject_CallMethod(gc.ptr(), "collect", nullptr));
  PyErr_Clear();
}

// Never returns, so that the calling thread runs no more Python code.
PyObject* wait_forever(PyObject* /*self*/, PyObject* /*arguments*/) {
  const GilRelease no_gil;
  for (;;) pause();
}

// Returns an exception type that no handler ever catches, because Python creates the object before it enters
// a `finally` or an `except`, and creating it never returns.
py::object halting_exception() {
  static PyMethodDef init{"pyhost_halts", wait_forever, METH_VARARGS, nullptr};
  const py::object function = steal(PyCFunction_New(&init, nullptr));
  const py::object names = steal(function ? Py_BuildValue("{sO}", "__init__", function.ptr()) : nullptr);
  return steal(names ? PyErr_NewException("pyhost.Halted", PyExc_BaseException, names.ptr()) : nullptr);
}

// The thread ids (of the operating system) of the halted threads; guarded by the GIL.
std::vector<long> halted_threads;

// Halts the remaining threads of `threading`, mostly daemons, as python3 does when it ends. Otherwise they
// would use files and objects of extensions that are gone. C++ threads are not halted: they may still be
// joined.
void halt_other_threads() {
  PyObject* const threading = PyDict_GetItemString(PyImport_GetModuleDict(), "threading");
  if (threading == nullptr) return;
  const py::object main = steal(PyObject_GetAttrString(threading, "_main_thread"));
  const py::object active = steal(PyObject_GetAttrString(threading, "_active"));
  const py::object halted = halting_exception();
  Py_ssize_t at_item = 0;
  PyObject* identity = nullptr;
  PyObject* thread = nullptr;
  while (halted && active && PyDict_Next(active.ptr(), &at_item, &identity, &thread) != 0) {
    const unsigned long number = PyLong_AsUnsignedLong(identity);
    if (thread == main.ptr() || is_dummy(thread) || number == PyThread_get_thread_ident()) continue;
    PyThreadState_SetAsyncExc(number, halted.ptr());
    const py::object native = steal(PyObject_GetAttrString(thread, "_native_id"));
    if (native && PyLong_Check(native.ptr())) halted_threads.push_back(PyLong_AsLong(native.ptr()));
  }
  PyErr_Clear();
}

// Returns whether the thread runs on a processor or waits for one.
bool is_computing(long thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(") ");
  return name_end != std::string::npos && line.compare(name_end + 2, 1, "R") == 0;
}

// A thread that computes in C code without the GIL is halted when it returns to Python. Until then it may use
// objects that exit() destroys.
void wait_for_computing_threads() {
  const auto end = std::chrono::steady_clock::now() + computing_timeout;
  const std::vector<long> threads = std::exchange(halted_threads, {});
  const GilRelease no_gil;
  while (std::any_of(threads.begin(), threads.end(), is_computing) && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(1ms);
}

// Does this step and those after it.
void take_steps(Step first) {
  if (first <= Step::Threads) {
    leave_main_thread_out();
    call_at_end("threading", "_shutdown");
  }
  if (first <= Step::AtExit) {
    at = Step::AtExit;
    call_at_end("atexit", "_run_exitfuncs");
  }
  if (first <= Step::Output) {
    at = Step::Output;
    halt_other_threads();
    flush_output_of_all_threads();
    at = Step::Files;
    close_open_files();
    at = Step::Garbage;
    collect_garbage();
    flush_output_of_all_threads();
  }
  at = Step::Done;
}

std::string text_of_attribute(PyObject* object, const char* name) {
  const py::object value = steal(PyObject_GetAttrString(object, name));
  const std::string text(view(value.ptr()));
  PyErr_Clear();
  return text.empty() ? "?" : text;
}

// Returns " at modules/x.py:7 in work" for the thread with this identity. Empty if it runs no Python code.
std::string place_of(PyObject* frames, PyObject* identity) {
  PyObject* frame = frames != nullptr && identity != nullptr ? PyDict_GetItem(frames, identity) : nullptr;
  const py::object code = frame != nullptr ? steal(PyObject_GetAttrString(frame, "f_code")) : py::object();
  if (!code) return PyErr_Clear(), "";
  const int line = PyFrame_GetLineNumber(reinterpret_cast<PyFrameObject*>(frame));
  return " at " + text_of_attribute(code.ptr(), "co_filename") + ":" + std::to_string(line) + " in " +
         text_of_attribute(code.ptr(), "co_name");
}

bool is_true(PyObject* object, const char* attribute) {
  const py::object value = steal(PyObject_GetAttrString(object, attribute));
  const bool truth = value && PyObject_IsTrue(value.ptr()) == 1;
  PyErr_Clear();
  return truth;
}

std::string hanging_threads(PyObject* threading, PyObject* frames, PyObject* main) {
  std::string lines;
  const py::object threads = steal(PyObject_CallMethod(threading, "enumerate", nullptr));
  for (Py_ssize_t i = 0; threads && i < PyList_Size(threads.ptr()); ++i) {
    PyObject* thread = PyList_GET_ITEM(threads.ptr(), i);
    if (thread == main || is_dummy(thread) || is_true(thread, "daemon")) continue;
    const py::object identity = steal(PyObject_GetAttrString(thread, "ident"));
    lines += "\n  thread '" + text_of_attribute(thread, "name") + "' is still running" +
             place_of(frames, identity.ptr());
  }
  PyErr_Clear();
  return lines;
}

// Describes what hangs, in lines. The caller holds the GIL.
std::string what_hangs(Step step) {
  const py::object threading = steal(PyImport_ImportModule("threading"));
  const py::object sys = steal(PyImport_ImportModule("sys"));
  const py::object frames =
      sys ? steal(PyObject_CallMethod(sys.ptr(), "_current_frames", nullptr)) : py::object();
  const py::object main =
      threading ? steal(PyObject_CallMethod(threading.ptr(), "main_thread", nullptr)) : py::object();
  PyErr_Clear();
  if (!main || !frames) return {};
  std::string lines;
  if (step == Step::Threads) lines = hanging_threads(threading.ptr(), frames.ptr(), main.ptr());
  if (lines.empty()) {
    const py::object identity = steal(PyObject_GetAttrString(main.ptr(), "ident"));
    const std::string place = place_of(frames.ptr(), identity.ptr());
    if (step == Step::Files) {
      lines = "\n  closing a file that a module left open does not return";
      if (place.find(closing_code_name) == std::string::npos) lines += place;
    } else if (step == Step::Garbage) {
      lines = "\n  a destructor is still running" + place;
    } else if (step <= Step::AtExit || !place.empty()) {
      lines = "\n  an atexit handler is still running" + (place.empty() ? ", in C code" : place);
    }
  }
  PyErr_Clear();
  return lines;
}

// Cuts the shutdown short if it exceeds its timeout: reports what hangs, does the remaining steps, and ends
// the process with its exit code.
class Watch {
 public:
  explicit Watch(int status) {
    try {
      thread_ = start_thread([this, status] { watch(status); });
    } catch (const Error&) {
      // If no thread can be started, the shutdown has no timeout.
    }
  }
  ~Watch() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_one();
    const GilRelease no_gil;  // lets a report finish that has begun
    if (thread_.joinable()) thread_.join();
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  void watch(int status) {
    std::unique_lock lock(mutex_);
    const std::chrono::milliseconds patience = shutdown_timeout;
    if (changed_.wait_for(lock, patience, [this] { return ended_; })) return;
    const double seconds = std::chrono::duration<double>(patience).count();
    const auto end_at_last = [this, status, seconds] {
      std::this_thread::sleep_for(report_timeout);
      if (!reported_) report(seconds, "\n  C code of a module does not return");
      _exit(status);
    };
    try {
      start_thread(end_at_last).detach();
    } catch (const Error&) {
      // If no thread can be started, this timeout is missing, too.
    }
    const GilAcquire gil = GilAcquire::at_shutdown();
    const Step step = at;
    report(seconds, what_hangs(step));
    flush_output_of_all_threads();  // first, because the remaining handlers may hang, too
    take_steps(step == Step::Threads ? Step::AtExit : step >= Step::Files ? Step::Done : Step::Output);
    std::fflush(nullptr);
    _exit(status);
  }

  void report(double seconds, const std::string& what) {
    reported_ = true;
    std::fprintf(stderr, "pyhost: shutdown was cut short after %s s:%s\n", general_text(seconds, 6).c_str(),
                 what.c_str());
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
  std::atomic<bool> reported_ = false;
  std::thread thread_;  // the last member: it uses the others
};

std::atomic<bool> started_here = false;

std::mutex before_shutdown_lock;

// Never destroyed, because static hosts may be opened before and closed after the static objects of this
// file.
std::function<void()>& before_shutdown() {
  static std::function<void()>& call = *new std::function<void()>;
  return call;
}

void end(int status) {
  if (!started_here || python_access != PythonAccess::Open) return;
  try {
    if (const std::unique_lock lock(before_shutdown_lock, std::try_to_lock); lock.owns_lock()) {
      if (const auto call = std::exchange(before_shutdown(), nullptr)) call();
    }
    const GilAcquire gil;
    set_python_access(PythonAccess::Ended);
    {
      const Watch watch(status);
      take_steps(Step::Threads);
    }
    wait_for_computing_threads();
  } catch (const Error&) {
    // Another thread has shut down meanwhile.
  }
}

// For exits whose code is not known. The code matters only if the shutdown hangs.
void end_without_status() { end(EXIT_FAILURE); }

// The number of shared objects that had been loaded when the shutdown was last moved to the front.
std::atomic<unsigned long long> loaded_before = 0;

unsigned long long count_loaded_objects() {
  unsigned long long count = 0;
  const auto read_first = [](dl_phdr_info* info, std::size_t, void* result) {
    *static_cast<unsigned long long*>(result) = info->dlpi_adds;
    return 1;
  };
  dl_iterate_phdr(read_first, &count);
  return count;
}

}  // namespace

void shut_down_with_process() {
  started_here = true;
  move_shutdown_to_front();
}

// Exit handlers and destructors run in the reverse order of their registration, so a new handler runs before
// the older ones. The older ones then find Python already ended, and do nothing.
void move_shutdown_to_front() {
  if (!started_here) return;
  loaded_before = count_loaded_objects();
#ifdef __GLIBC__
  on_exit([](int status, void*) { end(status); }, nullptr);
#else
  std::atexit(end_without_status);
#endif
  if (gettid() == getpid())
    abi::__cxa_thread_atexit([](void*) { end_without_status(); }, nullptr, &started_here);
}

void move_shutdown_before_loaded() {
  if (count_loaded_objects() != loaded_before) move_shutdown_to_front();
}

void set_before_shutdown(std::function<void()> call) {
  wait_without_gil([&] {
    const std::lock_guard lock(before_shutdown_lock);
    before_shutdown() = std::move(call);
  });
}

void observe_finalization() {
  static PyMethodDef leave{"pyhost_observes_finalization",
                           [](PyObject*, PyObject*) -> PyObject* {
                             if (python_access == PythonAccess::Open)
                               set_python_access(PythonAccess::EndedByApplication);
                             return borrow(Py_None).release().ptr();
                           },
                           METH_NOARGS, nullptr};
  const py::object function = require(PyCFunction_New(&leave, nullptr), "observing Py_Finalize()");
  const py::object atexit = require(PyImport_ImportModule("atexit"), "observing Py_Finalize()");
  require(PyObject_CallMethod(atexit.ptr(), "register", "O", function.ptr()), "observing Py_Finalize()");
}

void set_shutdown_timeout(std::chrono::milliseconds timeout) noexcept { shutdown_timeout = timeout; }

}  // namespace pyhost::detail

void pyhost::shut_down(int exit_code) noexcept { detail::end(exit_code); }
