// Examines everything that a host needs, in the order in which it is needed.
#include "pyhost/doctor.hpp"

#include <algorithm>

#include "interpreter/interpreter.hpp"
#include "interpreter/modules_package.hpp"
#include "interpreter/python_discovery.hpp"
#include "pyhost/error.hpp"
#include "python/gil.hpp"

namespace pyhost {

namespace {

using detail::steal;
using Verdict = Finding::Verdict;
namespace py = detail::py;

// Returns a finding that `look` fills in. If it throws an Error, the finding is a fault.
template <class Look>
Finding finding(std::string name, Look look) {
  Finding found{.name = std::move(name)};
  try {
    look(found);
  } catch (const Error& error) {
    found.verdict = Verdict::Fault;
    found.problem = error.message();
    found.cure = error.hint();
  }
  return found;
}

Finding look_at_library() {
  return finding("libpython", [](Finding& found) {
    const Environment loaded = detail::loaded_library();
    found.value = "Python " + loaded.version + " from " + loaded.library.string();
    detail::check_library(loaded);
  });
}

Finding look_at_standard_library(const Options& options) {
  return finding("standard library", [&](Finding& found) {
    found.value = detail::find_standard_library(options).folder.string();
  });
}

std::vector<Finding> look_at_venv(const Options& options, const detail::ModulePaths& paths,
                                  Environment& environment) {
  std::vector<Finding> all;
  all.push_back(finding("virtual environment", [&](Finding& found) {
    found.value = options.venv.string();
    detail::find_venv(options, paths, environment);
    found.value = environment.venv.empty() ? "none: only the standard library and the system's packages"
                                           : environment.venv.string() + " (" + environment.venv_source + ")";
  }));
  for (const std::string& warning : environment.warnings) {
    const std::size_t cure = warning.rfind("; ");
    all.push_back({.name = "virtual environment",
                   .value = "not used",
                   .verdict = Verdict::Warning,
                   .problem = warning.substr(0, cure),
                   .cure = cure == std::string::npos ? "" : warning.substr(cure + 2)});
  }
  return all;
}

std::vector<Finding> look_at_module_paths(const Options& options, detail::ModulePaths& paths) {
  std::vector<Finding> all;
  const auto look = [&](const detail::ModulePaths& given) {
    all.push_back(finding("module path", [&](Finding& found) {
      found.value = given.empty() ? "" : given.front().string();
      const detail::ModulePaths checked = detail::find_module_paths(given);
      for (const std::filesystem::path& path : checked) {
        const std::size_t count = detail::list_names({path}, "").size();
        found.value = path.string() + ": " + std::to_string(count) + (count == 1 ? " module" : " modules");
        paths.push_back(path);
        if (path != checked.back()) all.push_back(found);
      }
      if (checked.empty()) {
        found.verdict = Verdict::Warning;
        found.problem = "there is no module path: neither ./python_modules nor . contains a folder 'modules'";
        found.cure = "create the folder 'modules' here, or name a module path";
      }
    }));
  };
  if (options.module_paths.empty()) look({});
  for (const std::filesystem::path& path : options.module_paths) look({path});
  return all;
}

Finding look_at_executable(const Environment& environment) {
  Finding found{.name = "sys.executable", .value = environment.executable.string()};
  if (environment.executable.empty()) {
    found.value = "none";
    found.verdict = Verdict::Warning;
    found.problem = "there is no python binary of version " + detail::built_version() + " in " +
                    (environment.home / "bin").string();
    found.cure =
        "install it, or call pyhost::python_main() first in main(): multiprocessing and "
        "subprocess([sys.executable]) need one";
  }
  return found;
}

// Evaluates a Python expression, and returns its value as text. The caller holds the GIL.
std::string evaluate(const std::string& imports, const std::string& expression) {
  const char* const what = "examining Python";
  const py::object names = detail::require(PyDict_New(), what);
  detail::require(PyRun_String(imports.c_str(), Py_file_input, names.ptr(), names.ptr()), what);
  const py::object value =
      detail::require(PyRun_String(expression.c_str(), Py_eval_input, names.ptr(), names.ptr()), what);
  const py::object text = detail::require(PyObject_Str(value.ptr()), what);
  const char* utf8 = PyUnicode_AsUTF8(text.ptr());
  return utf8 != nullptr ? utf8 : "";
}

Finding look_at_gil() {
  return finding("GIL", [](Finding& found) {
#ifdef Py_GIL_DISABLED
    found.value = evaluate("import sys",
                           "'on, although this Python can run without it' if sys._is_gil_enabled() else "
                           "'off: threads run in parallel'");
#else
    found.value = "on: one thread at a time runs Python code";
#endif
  });
}

Finding look_at_isolation() {
  const bool interpreters = PY_VERSION_HEX >= 0x030d0000;
  return {.name = "isolation levels",
          .value = interpreters ? "shared, interpreter, process"
                                : "shared, process (interpreter: Python 3.13 and later)"};
}

// Starts a child process, because sys.executable may not be a working Python.
Finding look_at_multiprocessing() {
  return finding("multiprocessing", [](Finding& found) {
    const std::string child =
        "import sys, _multiprocessing, multiprocessing.spawn; print('%d.%d' % sys.version_info[:2])";
    const std::string said = evaluate(
        "import subprocess, sys\n"
        "try:\n"
        "  done = subprocess.run([sys.executable, '-I', '-c', \"" +
            child +
            "\"],\n"
            "    stdin=-3, stdout=-1, stderr=-2, text=True, timeout=60)\n"
            "  said = done.stdout.strip().splitlines()[-1:] or ['it printed nothing']\n"
            "except Exception as error:\n"
            "  said = [str(error)]\n",
        "said[0]");
    if (said == detail::built_version()) {
      found.value = "works: spawn and forkserver start sys.executable";
      return;
    }
    found.value = "does not work";
    found.verdict = Verdict::Warning;
    found.problem =
        "sys.executable is not a Python " + detail::built_version() + " that has multiprocessing: " + said;
    found.cure =
        "install all of Python " + detail::built_version() + ", or create the virtual environment again";
  });
}

}  // namespace

std::vector<Finding> examine(const Options& options) {
  std::vector<Finding> all;
  const auto add = [&](std::vector<Finding> more) { std::ranges::move(more, std::back_inserter(all)); };
  all.push_back({.name = "built for", .value = "Python " + detail::built_version()});
  all.push_back(look_at_library());
  all.push_back(look_at_standard_library(options));
  detail::ModulePaths paths;
  std::vector<Finding> modules = look_at_module_paths(options, paths);
  Environment environment;
  add(look_at_venv(options, paths, environment));
  add(std::move(modules));

  const bool may_start =
      std::ranges::none_of(all, [](const Finding& f) { return f.verdict == Verdict::Fault; });
  if (!may_start) {
    all.push_back({.name = "start", .value = "not tried: there are faults above"});
    return all;
  }
  all.push_back(finding("start", [&](Finding& found) {
    environment = detail::start_interpreter(options, paths);
    found.value = "Python starts, and its extension modules load";
    const detail::GilAcquire gil;
    add({{.name = "home", .value = environment.home.string()},
         {.name = "prefix", .value = evaluate("import sys", "sys.prefix")},
         look_at_executable(environment),
         look_at_gil(),
         look_at_isolation()});
    if (!environment.executable.empty()) all.push_back(look_at_multiprocessing());
  }));
  return all;
}

}  // namespace pyhost
