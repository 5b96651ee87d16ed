// Keeps the modules by name and in the order in which they were loaded.
#include "host/loaded_modules.hpp"

#include <algorithm>
#include <utility>

namespace pyhost::detail {

bool LoadedModules::contains(PyObject* object) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(in_order_, [&](const auto& module) { return module->module.ptr() == object; });
}

void LoadedModules::add(const std::shared_ptr<ModuleData>& module) {
  std::shared_ptr<ModuleData> displaced = module;  // destroyed last, because that may run Python code
  const std::lock_guard lock(mutex_);
  modules_[module->name].swap(displaced);
  const auto same =
      std::ranges::find_if(in_order_, [&](const auto& other) { return other->module.is(module->module); });
  if (same != in_order_.end()) {
    if (*same != module) module->before = std::exchange(*same, module);
  } else {
    in_order_.push_back(module);
  }
}

bool LoadedModules::remove(const std::shared_ptr<ModuleData>& module) {
  const std::lock_guard lock(mutex_);
  const auto at = modules_.find(module->name);
  if (at == modules_.end() || at->second != module) return false;
  modules_.erase(at);
  std::erase(in_order_, module);
  return true;
}

std::vector<std::string> LoadedModules::full_names() const {
  std::vector<std::string> names;
  const std::lock_guard lock(mutex_);
  for (const auto& module : in_order_) names.push_back("modules." + module->name);
  return names;
}

std::vector<std::string> LoadedModules::names_within(std::string_view package) const {
  const std::string prefix = std::string(package) + ".";
  std::vector<std::string> names;
  const std::lock_guard lock(mutex_);
  for (auto at = in_order_.rbegin(); at != in_order_.rend(); ++at) {
    if ((*at)->name.starts_with(prefix)) names.push_back((*at)->name);
  }
  return names;
}

std::shared_ptr<ModuleData> LoadedModules::take_last() {
  const std::lock_guard lock(mutex_);
  if (in_order_.empty()) return nullptr;
  std::shared_ptr<ModuleData> module = std::move(in_order_.back());
  in_order_.pop_back();
  std::erase_if(modules_, [&](const auto& entry) { return entry.second == module; });
  return module;
}

}  // namespace pyhost::detail
