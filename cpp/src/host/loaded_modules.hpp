// The modules that a host has loaded.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "run/handle_data.hpp"

namespace pyhost::detail {

/// The loaded modules by name. Looking a module up here is faster than importing it again, which takes longer
/// than running it. Guarded by the GIL of the host's interpreter, or by a mutex if Python has no GIL. The
/// mutex is never held during a call into Python.
class LoadedModules {
 public:
  /// Returns null if no module of this name is loaded.
  [[gnu::always_inline]] std::shared_ptr<ModuleData> find(std::string_view name) const {
    const std::lock_guard lock(mutex_);
    constexpr std::size_t few = 20;  // to compare with 20 names takes as long as to hash one
    const auto at = modules_.size() <= few
                        ? std::ranges::find(modules_, name,
                                            [](const auto& entry) { return std::string_view(entry.first); })
                        : modules_.find(name);
    return at == modules_.end() ? nullptr : at->second;
  }

  /// Returns whether this module object is loaded, under any name and with any create.
  bool contains(PyObject* object) const;

  /// Adds a module. Replaces the entry with the same name, and the one with the same module object.
  void add(const std::shared_ptr<ModuleData>& module);

  /// Removes a module. Returns false if it was already removed or replaced.
  bool remove(const std::shared_ptr<ModuleData>& module);

  /// Returns the names of all loaded modules in sys.modules, as in "modules.mod1".
  std::vector<std::string> full_names() const;

  /// Returns the names of the loaded modules within a package, the last loaded one first.
  std::vector<std::string> names_within(std::string_view package) const;

  /// Removes the module that was loaded last, and returns it. Returns null if there is none.
  std::shared_ptr<ModuleData> take_last();

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  using Modules = std::unordered_map<std::string, std::shared_ptr<ModuleData>, Hash, std::equal_to<>>;

#ifdef Py_GIL_DISABLED
  using Mutex = std::mutex;
#else
  struct Mutex {
    void lock() {}
    void unlock() {}
  };
#endif
  [[no_unique_address]] mutable Mutex mutex_;
  Modules modules_;
  std::vector<std::shared_ptr<ModuleData>> in_order_;  // also modules whose name another module has now
};

}  // namespace pyhost::detail
