// The table of the modules that a host has loaded.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "run/handle_data.hpp"

namespace pyhost::detail {

/// The loaded modules by name. A table of our own, because importing an imported module again takes longer
/// than running it. Any thread may call it. Its lock is never held during a call into Python.
class LoadedModules {
 public:
  /// Returns null if no module of this name is loaded.
  std::shared_ptr<ModuleData> find(std::string_view name) const {
    const std::lock_guard lock(mutex_);
    const auto at = modules_.find(name);
    return at == modules_.end() ? nullptr : at->second;
  }

  /// Returns whether this very module object is loaded, whatever its name and its create are.
  bool contains(PyObject* object) const;

  /// Adds a module. It replaces the entry of the same name, and the one of the same module object.
  void add(const std::shared_ptr<ModuleData>& module);

  /// Returns false if the module is not in the table any more.
  bool remove(const std::shared_ptr<ModuleData>& module);

  /// The names of all modules in sys.modules.
  std::vector<std::string> full_names() const;

  /// The names of the modules within a package, the last loaded first.
  std::vector<std::string> names_within(std::string_view package) const;

  /// Removes the module that was loaded last, and returns it; null if the table is empty.
  std::shared_ptr<ModuleData> take_last();

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  using Modules = std::unordered_map<std::string, std::shared_ptr<ModuleData>, Hash, std::equal_to<>>;

  mutable std::mutex mutex_;
  Modules modules_;
  std::vector<std::shared_ptr<ModuleData>> in_order_;  // includes modules that lost their name to another
};

}  // namespace pyhost::detail
