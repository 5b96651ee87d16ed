// Start and end of the one CPython.
#include "interpreter.hpp"

#include <array>
#include <cstdlib>
#include <mutex>
#include <string>

#include "enter.hpp"
#include "pyhost/error.hpp"

namespace pyhost::detail {

namespace {

namespace fs = std::filesystem;

// Set by CMake: the Python that this library was built for.
const fs::path built_home = PYHOST_PYTHON_HOME;
const fs::path built_executable = PYHOST_PYTHON_EXECUTABLE;

[[noreturn]] void refuse(std::string message, std::string hint) {
  throw Error({.kind = ErrorKind::StartupFailed,
               .phase = Phase::Start,
               .message = std::move(message),
               .hint = std::move(hint)});
}

// A missing standard library is the most frequent reason for a failed start, and one we can see before.
void check_home() {
  constexpr const char* version = "python" PYHOST_PYTHON_VERSION;
  std::string digits(version);
  std::erase(digits, '.');
  const fs::path landmark = built_home / PYHOST_PYTHON_LIBDIR / version / "encodings" / "__init__.py";
  const fs::path zip = built_home / PYHOST_PYTHON_LIBDIR / (digits + ".zip");
  std::error_code failed;
  if (fs::exists(landmark, failed) || fs::exists(zip, failed)) return;
  refuse("Python's standard library is missing: " + landmark.string() + " does not exist",
         std::string("install Python ") + PYHOST_PYTHON_VERSION + " in " + built_home.string() +
             ", or build pyhost for the Python that is there");
}

void check_status(const PyStatus& status, PyConfig& config) {
  if (PyStatus_Exception(status) == 0) return;
  const std::string reason = status.err_msg != nullptr ? status.err_msg : "it asked to exit";
  PyConfig_Clear(&config);
  refuse("Python did not start: " + reason, "check the Python in " + built_home.string());
}

void initialize() {
  PyPreConfig preconfig;
  PyPreConfig_InitPythonConfig(&preconfig);
  preconfig.utf8_mode = 1;
  preconfig.use_environment = 0;
  preconfig.parse_argv = 0;
  preconfig.configure_locale = 0;  // the locale is the application's
#ifdef PYHOST_SANITIZED
  preconfig.allocator = PYMEM_ALLOCATOR_MALLOC;  // what pymalloc holds, LeakSanitizer cannot see
#endif
  const PyStatus prepared = Py_PreInitialize(&preconfig);

  PyConfig config;
  PyConfig_InitPythonConfig(&config);
  check_status(prepared, config);
  config.use_environment = 0;
  config.parse_argv = 0;
  config.install_signal_handlers = 0;
  char program[] = "pyhost";
  std::array<char*, 1> argv{program};
  check_status(PyConfig_SetBytesArgv(&config, 1, argv.data()), config);
  check_status(PyConfig_SetBytesString(&config, &config.home, built_home.c_str()), config);
  check_status(PyConfig_SetBytesString(&config, &config.executable, built_executable.c_str()), config);
  check_status(Py_InitializeFromConfig(&config), config);
  PyConfig_Clear(&config);
}

// A call at the end, where there is nobody left to tell of a failure but stderr. What no module imported
// has nothing to end.
void call_at_end(const char* module, const char* function) {
  const py::object name = own(PyUnicode_FromString(module));
  const py::object imported = name ? own(PyImport_GetModule(name.ptr())) : py::object();
  if (!imported) return PyErr_Clear();
  const py::object done = own(PyObject_CallMethod(imported.ptr(), function, nullptr));
  if (!done) PyErr_WriteUnraisable(nullptr);
}

// Files that a module left open: without a teardown nobody else writes out what they hold back.
void flush_open_files() {
  const py::object io = own(PyImport_ImportModule("_io"));
  const py::object gc = own(PyImport_ImportModule("gc"));
  const py::object base = io ? own(PyObject_GetAttrString(io.ptr(), "_IOBase")) : py::object();
  const py::object objects = gc ? own(PyObject_CallMethod(gc.ptr(), "get_objects", nullptr)) : py::object();
  for (Py_ssize_t i = base && objects ? PyList_Size(objects.ptr()) : 0; i-- > 0;) {
    PyObject* object = PyList_GET_ITEM(objects.ptr(), i);
    if (PyObject_TypeCheck(object, reinterpret_cast<PyTypeObject*>(base.ptr())) == 0) continue;
    const py::object flushed = own(PyObject_CallMethod(object, "flush", nullptr));
    if (!flushed) PyErr_Clear();  // closed, detached, or its disk is full
  }
  PyErr_Clear();
}

// What Py_FinalizeEx does for a module's author, without its teardown: that would pull the interpreter
// from under threads that still run, and under handles that still live.
void end_interpreter() {
  try {
    const Enter enter;
    shut_door();
    call_at_end("threading", "_shutdown");
    call_at_end("atexit", "_run_exitfuncs");
    flush_output();
    flush_open_files();
  } catch (const Error&) {
    // The door was shut before: there is nothing left to end.
  }
}

void flush(const char* stream) noexcept {
  const py::object file = share(PySys_GetObject(stream));
  if (!file || file.is_none()) return;
  const py::object flushed = own(PyObject_CallMethod(file.ptr(), "flush", nullptr));
  if (!flushed) PyErr_Clear();
}

}  // namespace

void start_interpreter() {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  if (Py_IsInitialized() != 0) return;
  check_home();
  initialize();
  // Here and now, so that threading takes this thread for the main one, and not the first that imports it:
  // else a thread that a module starts from another C++ thread is not waited for at the end.
  if (!own(PyImport_ImportModule("threading"))) PyErr_Clear();
  PyEval_SaveThread();
  std::atexit(end_interpreter);
}

fs::path python_modules() {
  std::error_code failed;
  const fs::path program = fs::read_symlink("/proc/self/exe", failed);
  const fs::path beside = program.parent_path().parent_path() / "share/pyhost/python_modules";
  if (fs::is_directory(beside / "modules", failed)) return beside;
  const bool in_build_tree = program.string().starts_with(PYHOST_BUILD_DIR "/");
  const fs::path built = in_build_tree ? PYHOST_SOURCE_MODULES : PYHOST_INSTALLED_MODULES;
  return fs::is_directory(built / "modules", failed) ? built : fs::path();
}

void flush_output() noexcept {
  const py::error_scope kept;  // what the module raised is still to be told
  flush("stdout");
  flush("stderr");
}

}  // namespace pyhost::detail
