// Starts CPython, or joins one that is already running.
#include "interpreter/interpreter.hpp"

#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <string>

#include "interpreter/installation.hpp"
#include "interpreter/interrupts.hpp"
#include "interpreter/library_copy.hpp"
#include "interpreter/open_files.hpp"
#include "interpreter/output.hpp"
#include "interpreter/shutdown.hpp"
#include "pyhost/error.hpp"
#include "python/floating_point.hpp"
#include "python/gil.hpp"

namespace pyhost::detail {

namespace {

namespace fs = std::filesystem;

std::mutex starting;
std::optional<Environment> running;  // set once Python runs; guarded by `starting`
std::atomic<bool> stand_in_allowed = false;

[[noreturn]] void refuse(std::string message, std::string hint) {
  throw Error({.kind = ErrorKind::StartupFailed,
               .phase = Phase::Start,
               .message = std::move(message),
               .hint = std::move(hint)});
}

// Sets explicitly what CPython would otherwise search for, so that every version of it finds the same.
class Config {
 public:
  Config() { PyConfig_InitPythonConfig(&config_); }
  ~Config() { PyConfig_Clear(&config_); }
  Config(const Config&) = delete;
  Config& operator=(const Config&) = delete;

  PyConfig* operator->() { return &config_; }
  void set(wchar_t*& member, const fs::path& value) {
    check(PyConfig_SetBytesString(&config_, &member, value.c_str()));
  }
  void append(PyWideStringList& list, const fs::path& value) {
    check(PyWideStringList_Append(&list, value.wstring().c_str()));
  }
  void set_argv(const char* program) {
    std::string word = program;
    std::array<char*, 1> argv{word.data()};
    check(PyConfig_SetBytesArgv(&config_, 1, argv.data()));
  }
  void start() { check(Py_InitializeFromConfig(&config_)); }
  static void check(const PyStatus& status) {
    if (PyStatus_Exception(status) == 0) return;
    refuse(std::string("Python did not start: ") +
               (status.err_msg != nullptr ? status.err_msg : "it asked to exit"),
           "`pyhost doctor` checks the installed Python");
  }

 private:
  PyConfig config_;
};

void prepare(const Options& options) {
  PyPreConfig preconfig;
  PyPreConfig_InitPythonConfig(&preconfig);
  preconfig.utf8_mode = 1;
  preconfig.use_environment = options.python.use_environment ? 1 : 0;
  preconfig.parse_argv = 0;
  preconfig.configure_locale = 0;  // the locale is the application's
#ifdef PYHOST_SANITIZED
  preconfig.allocator = PYMEM_ALLOCATOR_MALLOC;  // LeakSanitizer cannot see memory of pymalloc
#endif
  Config::check(Py_PreInitialize(&preconfig));
}

void initialize(const Options& options, const Environment& environment) {
  prepare(options);
  Config config;
  config->use_environment = options.python.use_environment ? 1 : 0;
  config->parse_argv = 0;
  config->install_signal_handlers = 0;
#if PY_VERSION_HEX >= 0x030b0000
  config->safe_path = 1;  // for child processes, which inherit it
#endif
  config.set_argv(program_invocation_name);
  config.append(config->xoptions, "utf8=1");  // multiprocessing passes these options to its children
  config.set(config->home, environment.home);
  config.set(config->executable, environment.executable);
  config.set(config->base_executable, find_executable({}, environment.home));
  config.start();
}

// If a plug-in was loaded with RTLD_LOCAL, the symbols of its libpython are visible to the plug-in only.
// Extension modules need them in the global scope.
void make_symbols_global(const fs::path& library) {
  void* handle = dlopen(library.c_str(), RTLD_LAZY | RTLD_NOLOAD | RTLD_GLOBAL);
  if (handle != nullptr) dlclose(handle);
}

// A child that the application forks has only the thread that forked, and that thread does not hold the GIL.
// So access is refused. After os.fork() and multiprocessing, Python itself prepares the child, so access is
// allowed.
void guard_forks() {
  pthread_atfork(nullptr, nullptr, [] { set_python_access(PythonAccess::Forked); });
  static PyMethodDef open{"pyhost_enters_child",
                          [](PyObject*, PyObject*) -> PyObject* {
                            set_python_access(PythonAccess::Open);
                            is_forked_child = true;
                            return borrow(Py_None).release().ptr();
                          },
                          METH_NOARGS, nullptr};
  const py::object function = require(PyCFunction_New(&open, nullptr), "registering a fork handler");
  const py::object names =
      require(Py_BuildValue("{sO}", "after_in_child", function.ptr()), "registering a fork handler");
  const py::object os = require(PyImport_ImportModule("os"), "registering a fork handler");
  const py::object guard =
      require(PyObject_GetAttrString(os.ptr(), "register_at_fork"), "registering a fork handler");
  require(PyObject_Call(guard.ptr(), py::tuple().ptr(), names.ptr()), "registering a fork handler");
}

fs::path path_in_sys(const char* name) { return view(borrow(PySys_GetObject(name)).ptr()); }

// Checks what the checks before the start could not: whether Python accepted its configuration, and whether
// extension modules will find its symbols.
void check_itself(const Environment& environment) {
  if (const fs::path home = path_in_sys("base_prefix"); home != environment.home) {
    refuse("Python started with " + (home.empty() ? "nothing" : home.string()) + " as its home, not " +
               environment.home.string(),
           "`pyhost doctor` checks the installed Python");
  }
  if (dlsym(RTLD_DEFAULT, "PyModule_Create2") == reinterpret_cast<void*>(&PyModule_Create2)) return;
  refuse("Python started, but extension modules cannot load: its symbols are not visible in the process",
         "link the program with -rdynamic if it holds Python itself, or load libpython with RTLD_GLOBAL");
}

// If there is no python binary, the program itself serves as one, under another name. See pyhost/main.hpp.
fs::path make_stand_in(const fs::path& home) {
  std::string folder = (fs::temp_directory_path() / "pyhost-python-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return {};
  static std::string made;
  made = folder;
  std::error_code failed;
  const fs::path python = fs::path(folder) / ("python" + built_version());
  fs::create_symlink(program_file(), python, failed);
  fs::create_directory_symlink(home, fs::path(folder) / "home", failed);
  std::atexit([] {
    std::error_code ignored;
    fs::remove_all(made, ignored);
  });
  return failed ? fs::path() : python;
}

Environment start(const Options& options, const ModulePaths& paths) {
  Environment environment = find_environment(options, paths);
  if (environment.executable.empty() && stand_in_allowed)
    environment.executable = make_stand_in(environment.home);
  make_symbols_global(environment.library);
  const DefaultFloatingPoint floating_point;
  initialize(options, environment);
  check_itself(environment);
  settle_signals(options.python.interruptible);
  order_output();
  guard_forks();
  observe_finalization();
  freeze_objects();
  set_main_thread();
  PyEval_SaveThread();
  shut_down_with_process();
  return environment;
}

Environment join() {
  Environment environment = loaded_library();
  check_library(environment);
  const GilAcquire gil;
  environment.home = path_in_sys("base_prefix");
  environment.executable = path_in_sys("executable");
  if (const fs::path prefix = path_in_sys("prefix"); prefix != environment.home) {
    environment.venv = prefix;
    environment.venv_source = "the Python that was already running";
  }
  guard_forks();
  observe_finalization();
  return environment;
}

// Refuses options that only a start could fulfil, because Python is already running.
void check_options(const Options& options, const Environment& environment) {
  const auto same = [](const fs::path& a, const fs::path& b) {
    std::error_code failed;
    return fs::equivalent(a, b, failed);
  };
  const std::string hint =
      "a process has one Python: choose it where the first host is opened, or use another process";
  if (!options.venv.empty() && !same(options.venv, environment.venv)) {
    refuse(
        "Python is already running " +
            (environment.venv.empty() ? "without a virtual environment" : "in " + environment.venv.string()) +
            ", not in '" + options.venv.string() + "'",
        hint);
  }
  if (!options.python.home.empty() && !same(options.python.home, environment.home)) {
    refuse("Python is already running with the home " + environment.home.string() + ", not '" +
               options.python.home.string() + "'",
           hint);
  }
}

}  // namespace

Environment start_interpreter(const Options& options, const ModulePaths& paths) {
  const std::lock_guard lock(starting);
  set_shutdown_timeout(options.shutdown_timeout);
  if (!running) {
    pin_library();
    running = Py_IsInitialized() != 0 ? join() : start(options, paths);
  }
  check_options(options, *running);
  return *running;
}

void allow_stand_in() noexcept { stand_in_allowed = true; }

}  // namespace pyhost::detail
