// The namespace `modules` over all module paths.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "interpreter/python_discovery.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// The given paths made absolute, or the default ones if none is given. Throws StartupFailed for a path
/// that is no folder or holds no `modules` folder.
ModulePaths find_module_paths(const ModulePaths& given);

/// Throws ImportFailed if the name, or a parent of it, is both a file and a package in the path where it
/// would be found: Python takes the package without a word, and that may not be the one that was meant.
void refuse_ambiguous(const ModulePaths& paths, std::string_view name);

/// Top-level names of the modules in all paths, or names in the packages of a dotted name's parents;
/// files are listed, nothing is imported.
std::vector<std::string> list_names(const ModulePaths& paths, std::string_view like);

/// The package `modules` of one host. Its `__path__` is the module paths, so it is the same package as in
/// a child of multiprocessing, where python_modules/modules/__init__.py makes it from sys.path.
class ModulesPackage {
 public:
  /// Puts the package into sys.modules and its paths on sys.path. The caller holds the GIL.
  explicit ModulesPackage(const ModulePaths& paths);

  /// Makes sure that `modules` is this package, whatever a module has done to it. The caller holds the GIL.
  void restore();

  /// Whether restore() has nothing to do. The caller holds the GIL.
  bool is_intact() const noexcept;
  /// Whether an import made `modules.<name>` already. What a module put into sys.modules by hand is none.
  bool has(std::string_view name) const noexcept;

  /// Whether an import would find `modules.<name>`, a name without dots. The caller holds the GIL.
  bool finds(std::string_view name) const noexcept;

  /// `modules.<name>` by importlib.import_module; null with Python's error set. The caller holds the GIL.
  py::object import(const std::string& name);

  /// Takes `modules.<name>` and all below it out of sys.modules and its package, so that the next import
  /// reads the source; its helpers, too, as forget_helpers() does. The caller holds the GIL.
  void forget(const std::string& name, const std::vector<std::string>& loaded) noexcept;

  /// Does so with what `modules.<name>` imports from the module paths, unless another module uses it: one of
  /// the `loaded`, which are names in sys.modules, or one that is being imported. The caller holds the GIL.
  void forget_helpers(const std::string& name, const std::vector<std::string>& loaded) noexcept;

  /// Takes `modules` and all below it out of sys.modules and sys.path. The caller holds the GIL.
  void remove() noexcept;

 private:
  py::object import_by_name(std::string_view name);

  py::object package_;
  py::object path_;
  py::object importlib_;
  py::object name_;                                                   // "modules"
  py::object path_name_;                                              // "__path__"
  std::map<std::string, std::vector<std::string>> imported_by_load_;  // what import() has imported first
};

}  // namespace pyhost::detail
