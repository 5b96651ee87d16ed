// The package `modules`, which spans all module paths.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "interpreter/python_discovery.hpp"
#include "python/dict_version.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// Returns the given paths as absolute paths, or the default paths if none is given.
/// Throws: StartupFailed for a path that is not a folder or does not contain a `modules` folder.
ModulePaths find_module_paths(const ModulePaths& given);

/// Checks that neither the name nor a parent of it is both a file and a package in the path where it would be
/// found. Python silently takes the package, which may not be the intended one.
/// Throws: ImportFailed.
void refuse_ambiguous(const ModulePaths& paths, std::string_view name);

/// Returns the top-level names of the modules in all paths. For a dotted name, returns the names in the
/// package of its parents. Only lists files, and imports nothing.
std::vector<std::string> list_names(const ModulePaths& paths, std::string_view like);

/// The package `modules` of one host. Its `__path__` is the module paths. A child of multiprocessing has the
/// same package: there, python_modules/modules/__init__.py makes it from sys.path.
class ModulesPackage {
 public:
  /// Puts the package into sys.modules and its paths on sys.path. The caller holds the GIL.
  explicit ModulesPackage(const ModulePaths& paths);

  /// Makes `modules` this package again, whatever a module has changed. The caller holds the GIL.
  void restore();

  /// Returns whether restore() has nothing to do. The caller holds the GIL.
  bool is_intact() const noexcept {
    return (known_modules_.is_current(sys_modules_) && known_dict_.is_current(dict_)) || look_up_intact();
  }

  /// Returns whether `modules.<name>` was imported already. A module that was put into sys.modules by hand
  /// does not count.
  bool has(std::string_view name) const noexcept;

  /// Returns whether an import would find `modules.<name>`. The name must not contain dots. The caller holds
  /// the GIL.
  bool finds(std::string_view name) const noexcept;

  /// Imports `modules.<name>` like importlib.import_module. Returns null with Python's error set if that
  /// fails. The caller holds the GIL.
  py::object import(const std::string& name);

  /// Removes `modules.<name>` and everything below it from sys.modules and from its package, so that the next
  /// import reads the source. Also calls forget_helpers(). The caller holds the GIL.
  void forget(const std::string& name, const std::vector<std::string>& loaded) noexcept;

  /// Removes the helpers of `modules.<name>`: modules that it imported from the module paths. Keeps a helper
  /// that another module uses, if that is one of `loaded`, which are names in sys.modules, or is being
  /// imported. The caller holds the GIL.
  void forget_helpers(const std::string& name, const std::vector<std::string>& loaded) noexcept;

  /// Removes `modules` and everything below it from sys.modules and sys.path. The caller holds the GIL.
  void remove() noexcept;

 private:
  py::object import_by_name(std::string_view name);
  bool look_up_intact() const noexcept;

  py::object package_;
  py::object path_;
  py::object importlib_;
  py::object name_;                         // "modules"
  py::object path_name_;                    // "__path__"
  PyObject* sys_modules_;                   // borrowed; Python never replaces it
  PyObject* dict_;                          // of package_; borrowed
  mutable DictVersion known_modules_ = {};  // with which is_intact() returned true
  mutable DictVersion known_dict_ = {};     // likewise
  // The names that each import() added to sys.modules, by the imported module.
  std::map<std::string, std::vector<std::string>> imported_by_load_;
};

}  // namespace pyhost::detail
