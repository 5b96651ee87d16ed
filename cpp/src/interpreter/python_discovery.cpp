// Checks the Python before it is started.
#include "interpreter/python_discovery.hpp"

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>

#include "interpreter/installation.hpp"
#include "pyhost/error.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

namespace {

namespace fs = std::filesystem;

// Set by CMake: the Python that this library was built for.
const fs::path built_home = PYHOST_PYTHON_HOME;
const fs::path built_executable = PYHOST_PYTHON_EXECUTABLE;
const fs::path built_stdlib = PYHOST_PYTHON_STDLIB;

// The text of an error or a warning: what is wrong, and how to fix it.
struct Problem {
  std::string what;
  std::string cure;
};

[[noreturn]] void refuse(Problem problem) {
  throw Error({.kind = ErrorKind::StartupFailed,
               .phase = Phase::Start,
               .message = std::move(problem.what),
               .hint = std::move(problem.cure)});
}

bool is_file(const fs::path& path) {
  std::error_code failed;
  return fs::is_regular_file(path, failed);
}

bool is_readable(const fs::path& path) { return is_file(path) && access(path.c_str(), R_OK) == 0; }

// Returns the first part of the path that this process may not search or read. Empty if it may read the file.
fs::path unreadable(const fs::path& file) {
  fs::path part;
  for (const fs::path& each : file) {
    part /= each;
    const int wanted = part == file ? R_OK : X_OK;
    if (access(part.c_str(), wanted) != 0) return errno == EACCES ? part : fs::path();
  }
  return {};
}

fs::path absolute_path(const fs::path& path) { return fs::absolute(path).lexically_normal(); }

fs::path variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

// Returns "3.12" for "3.12.1", "3.12.1.final.0" and "3.12".
std::string minor_version(std::string_view version) {
  const std::size_t dot = version.find('.');
  if (dot == std::string_view::npos) return std::string(version);
  return std::string(version.substr(0, version.find_first_not_of("0123456789", dot + 1)));
}

// Returns the name of the library folder: "python3.11", or "python3.14t" for a build without the GIL.
std::string python_name() { return built_stdlib.filename().string(); }

std::string trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin));
}

// Returns the version in pyvenv.cfg. venv and uv write one of these keys, virtualenv the other. Empty if
// there is neither.
std::string venv_version(const fs::path& config) {
  std::ifstream stream(config);
  std::string version;
  for (std::string line; std::getline(stream, line);) {
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos) continue;
    const std::string key = trimmed(std::string_view(line).substr(0, equals));
    if (key == "version" || key == "version_info") {
      version = minor_version(trimmed(std::string_view(line).substr(equals + 1)));
    }
  }
  return version;
}

std::string how_to_create(const std::string& venv) {
  const fs::path python = find_executable({}, built_home);
  return "create one with `" + (python.empty() ? python_name() : python.string()) + " -m venv " + venv + "`";
}

// Returns why this folder cannot be used as a virtual environment. Empty if it can.
Problem problem_of_venv(const fs::path& venv) {
  const std::string name = "the virtual environment '" + venv.string() + "'";
  std::error_code failed;
  if (!fs::exists(venv, failed)) return {name + " does not exist", how_to_create(venv.string())};
  const std::string recreate = how_to_create("--clear " + venv.string());
  const fs::path config = venv / "pyvenv.cfg";
  if (!is_file(config)) {
    return {"'" + venv.string() + "' is not a virtual environment: it has no pyvenv.cfg",
            how_to_create("FOLDER")};
  }
  if (const std::string version = venv_version(config); !version.empty() && version != built_version()) {
    return {name + " is for Python " + version + ", but pyhost was built for Python " + built_version(),
            recreate + ", or build pyhost for Python " + version};
  }
  if (!fs::is_directory(venv / "lib" / python_name() / "site-packages", failed)) {
    return {name + " does not contain lib/" + python_name() + "/site-packages", recreate};
  }
  if (find_executable(venv, {}).empty()) {
    return {name + " has no python that can be executed: " + (venv / "bin/python").string() +
                " is missing or a broken link",
            recreate};
  }
  return {};
}

// Another user may have put a `.venv` into a shared folder, so one is used only if it belongs to us or to
// root.
bool is_own(const fs::path& path) {
  struct stat status{};
  return stat(path.c_str(), &status) == 0 && (status.st_uid == geteuid() || status.st_uid == 0);
}

struct Candidate {
  fs::path venv;
  std::string source;
};

std::vector<Candidate> venv_candidates(const ModulePaths& paths) {
  std::vector<Candidate> candidates;
  if (const fs::path active = variable("VIRTUAL_ENV"); !active.empty()) {
    candidates.push_back({absolute_path(active), "VIRTUAL_ENV"});
  }
  const fs::path shipped = python_modules();
  for (const fs::path& path : paths) {
    if (path == shipped) continue;
    for (const fs::path& venv : {path / ".venv", path.parent_path() / ".venv"}) {
      if (is_own(venv / "pyvenv.cfg"))
        candidates.push_back({absolute_path(venv), ".venv beside the module path"});
    }
  }
  if (const fs::path venv = program_file().parent_path().parent_path(); is_file(venv / "pyvenv.cfg")) {
    candidates.push_back({venv, "the one where the program is installed"});
  }
  return candidates;
}

}  // namespace

std::string built_version() { return minor_version(PY_VERSION); }

Environment loaded_library() {
  const std::string text = Py_GetVersion();
  Environment found{.version = text.substr(0, text.find(' '))};
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&Py_GetVersion), &info) != 0 && info.dli_fname != nullptr) {
    std::error_code failed;
    found.library = fs::canonical(info.dli_fname, failed);
    if (failed) found.library = info.dli_fname;
  }
  return found;
}

void check_library(const Environment& loaded) {
  if (minor_version(loaded.version) == built_version()) return;
  refuse({"pyhost was built for Python " + built_version() + ", but the process has loaded Python " +
              loaded.version + " from " + loaded.library.string(),
          "check that LD_LIBRARY_PATH and LD_PRELOAD do not load another libpython, or build pyhost for "
          "Python " +
              minor_version(loaded.version)});
}

StandardLibrary find_standard_library(const Options& options) {
  fs::path home = options.python.home;
  std::string asked = "PythonOptions::home";
  if (home.empty() && options.python.use_environment) {
    home = variable("PYTHONHOME");
    asked = "PYTHONHOME";
  }
  StandardLibrary found{built_home, built_stdlib};
  if (!home.empty()) {
    found.home = absolute_path(home);
    found.folder = found.home / built_stdlib.lexically_relative(built_home);
  }
  std::string digits = built_version();
  std::erase(digits, '.');
  const fs::path zip = found.folder.parent_path() / ("python" + digits + ".zip");
  if (is_readable(found.folder / "encodings" / "__init__.py") || is_readable(zip)) return found;
  const fs::path needed = found.folder / "encodings" / "__init__.py";
  if (const fs::path closed = unreadable(needed); !closed.empty()) {
    refuse({"Python's standard library cannot be read: " + closed.string() + ": permission denied",
            "give the user of this process the right to read " + found.folder.string()});
  }
  const std::string missing = needed.string() + " does not exist";
  if (home.empty()) {
    refuse({"Python's standard library is missing: " + missing,
            "install Python " + built_version() + " in " + built_home.string() +
                ", or build pyhost for the installed Python"});
  }
  refuse({asked + " is '" + home.string() + "', which does not contain the standard library of Python " +
              built_version() + ": " + missing,
          "use the folder that contains " + built_stdlib.lexically_relative(built_home).string() +
              ", or leave it unset: pyhost was built with " + built_home.string()});
}

void find_venv(const Options& options, const ModulePaths& paths, Environment& environment) {
  if (!options.venv.empty()) {
    environment.venv = absolute_path(options.venv);
    environment.venv_source = "set by the options";
    if (Problem problem = problem_of_venv(environment.venv); !problem.what.empty())
      refuse(std::move(problem));
    return;
  }
  for (const Candidate& candidate : venv_candidates(paths)) {
    if (const Problem problem = problem_of_venv(candidate.venv); !problem.what.empty()) {
      environment.warnings.push_back(problem.what + " (" + candidate.source + "): ignored; " + problem.cure);
      continue;
    }
    environment.venv = candidate.venv;
    environment.venv_source = candidate.source;
    return;
  }
}

fs::path find_executable(const fs::path& venv, const fs::path& home) {
  const auto runs = [](const fs::path& path) { return is_file(path) && access(path.c_str(), X_OK) == 0; };
  if (!venv.empty()) {
    const fs::path python = venv / "bin" / "python";
    return runs(python) ? python : fs::path();
  }
  if (const fs::path python = home / "bin" / python_name(); runs(python)) return python;
  // `python3` may now be another version. The file that it links to has the version in its name.
  std::error_code failed;
  const fs::path real = fs::canonical(built_executable, failed);
  return runs(real) && real.filename() == python_name() ? built_executable : fs::path();
}

Environment find_environment(const Options& options, const ModulePaths& paths) {
  Environment found = loaded_library();
  check_library(found);
  found.home = find_standard_library(options).home;
  find_venv(options, paths, found);
  found.executable = find_executable(found.venv, found.home);
  return found;
}

}  // namespace pyhost::detail
