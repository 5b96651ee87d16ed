// Finds the files that were installed with pyhost.
#include "interpreter/installation.hpp"

#include <dlfcn.h>
#include <sys/auxv.h>

#include <atomic>
#include <mutex>
#include <string>
#include <system_error>

#include "pyhost/error.hpp"
#include "pyhost/installation.hpp"

namespace pyhost::detail {

namespace {

namespace fs = std::filesystem;

// Set before main() if the application found pyhost with find_package(pyhost). Null otherwise.
constinit std::atomic<const char*> found_programs = nullptr;
constinit std::atomic<const char*> found_python_modules = nullptr;

std::mutex named_mutex;
fs::path named_python_modules;  // from PythonOptions::python_modules

fs::path path_from(const char* text) { return text != nullptr ? fs::path(text) : fs::path(); }

bool holds_python_modules(const fs::path& folder) {
  std::error_code failed;
  return fs::is_directory(folder / "modules", failed) &&
         fs::is_regular_file(folder / "pyhost" / "__init__.py", failed);
}

}  // namespace

bool note_installation(const char* programs, const char* python_modules) noexcept {
  found_programs = programs;
  found_python_modules = python_modules;
  return true;
}

fs::path program_file() {
  std::error_code failed;
  const fs::path program = fs::read_symlink("/proc/self/exe", failed);
  if (!failed) return program;
  Dl_info here{};
  const bool found = dladdr(reinterpret_cast<const void*>(&note_installation), &here) != 0;
  if (const fs::path file = found ? fs::canonical(path_from(here.dli_fname), failed) : fs::path();
      !file.empty())
    return file;
  // If a program was found on PATH, dladdr knows only its bare name.
  return fs::canonical(path_from(reinterpret_cast<const char*>(getauxval(AT_EXECFN))), failed);
}

void use_python_modules(const fs::path& folder) {
  if (!folder.empty() && !holds_python_modules(folder)) {
    throw Error(
        {.kind = ErrorKind::StartupFailed,
         .phase = Phase::Start,
         .message = "PythonOptions::python_modules is '" + folder.string() +
                    "', which does not contain pyhost's own Python files",
         .hint = "use the folder python_modules of pyhost, such as PREFIX/share/pyhost/python_modules"});
  }
  const std::lock_guard lock(named_mutex);
  named_python_modules = folder.empty() ? folder : fs::absolute(folder);
}

fs::path python_modules() {
  {
    const std::lock_guard lock(named_mutex);
    if (!named_python_modules.empty()) return named_python_modules;
  }
  const fs::path program = program_file();
  const bool in_build_tree = program.string().starts_with(PYHOST_BUILD_DIR "/");
  for (const fs::path& each : {program.parent_path().parent_path() / "share/pyhost/python_modules",
                               in_build_tree ? fs::path(PYHOST_SOURCE_MODULES) : fs::path(),
                               path_from(found_python_modules), fs::path(PYHOST_INSTALLED_MODULES)}) {
    if (!each.empty() && holds_python_modules(each)) return each;
  }
  return {};
}

std::vector<fs::path> program_folders() {
  std::vector<fs::path> folders{program_file().parent_path()};
  if (const fs::path found = path_from(found_programs); !found.empty()) folders.push_back(found);
  folders.emplace_back(PYHOST_INSTALLED_PROGRAMS);
  folders.emplace_back(PYHOST_BUILD_DIR);
  return folders;
}

}  // namespace pyhost::detail
