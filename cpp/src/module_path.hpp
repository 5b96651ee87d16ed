// The namespace `modules` over all module paths.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "installation.hpp"
#include "python.hpp"

namespace pyhost::detail {

/// The given paths made absolute, or the default ones if none is given. Throws StartupFailed for a path
/// that is no folder or holds no `modules` folder.
ModulePaths find_module_paths(const ModulePaths& given);

/// Top-level names of the modules in all paths, or names in the packages of a dotted name's parents;
/// files are listed, nothing is imported.
std::vector<std::string> list_names(const ModulePaths& paths, std::string_view like);

/// The name that a ModuleNotFoundError which Python has set says is missing; empty for any other
/// exception. Leaves it set.
std::string missing_name();

/// The package `modules` of one host. Its `__path__` is the module paths, so it is the same package as in
/// a child of multiprocessing, where python_modules/modules/__init__.py makes it from sys.path.
class Namespace {
 public:
  /// Puts the package into sys.modules and its paths on sys.path. The caller holds the GIL.
  explicit Namespace(const ModulePaths& paths);

  /// Makes sure that `modules` is this package, whatever a module has done to it. The caller holds the GIL.
  void restore();

  /// Whether restore() has nothing to do. The caller holds the GIL.
  bool is_intact() const noexcept;

  /// `modules.<name>` by importlib.import_module; null with Python's error set. The caller holds the GIL.
  py::object import(std::string_view name);

  /// Takes `modules` and all below it out of sys.modules and sys.path. The caller holds the GIL.
  void remove() noexcept;

 private:
  py::object package_;
  py::object path_;
  py::object importlib_;
  py::object name_;       // "modules"
  py::object path_name_;  // "__path__"
};

}  // namespace pyhost::detail
