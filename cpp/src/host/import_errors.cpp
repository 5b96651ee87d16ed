// Distinguishes a missing module from a broken one, and makes the errors for both.
#include "host/import_errors.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "error/module_name.hpp"
#include "interpreter/modules_package.hpp"
#include "pyhost/error.hpp"
#include "python/cpp_exception.hpp"
#include "python/exception.hpp"
#include "python/hint.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

namespace {

std::string similar_names_hint(const std::string& name, const ModulePaths& paths) {
  std::string hint = did_you_mean(name, list_names(paths, name));
  if (hint.empty() && name.ends_with(".py")) hint = "use the module's name without .py";
  return hint;
}

// Returns the module that `import modules.x` or `from modules import x` did not find, or an empty text for
// other errors.
std::string missing_module(const PythonException& raised) {
  constexpr std::string_view package = "modules.";
  constexpr std::string_view from_package = "cannot import name '";
  if (raised.type == "ModuleNotFoundError" && raised.import_name.starts_with(package)) {
    return raised.import_name.substr(package.size());
  }
  if (raised.type != "ImportError" || raised.import_name != "modules") return {};
  if (!raised.message.starts_with(from_package)) return {};
  const std::string rest = raised.message.substr(from_package.size());
  return rest.substr(0, rest.find('\''));
}

// Returns whether the module itself is missing. A ModuleNotFoundError may also come from an import within the
// module. The module itself is missing if the exception names it or one of its parents, and all frames of the
// exception belong to the import machinery.
bool is_module_missing(const PythonException& raised, const std::string& name) {
  const std::string& missing = raised.import_name;
  if (raised.type != "ModuleNotFoundError" || missing.empty()) return false;
  if (!("modules." + name + ".").starts_with(missing + ".")) return false;
  return std::ranges::all_of(raised.frames,
                             [](const Frame& frame) { return origin_of(frame) == Origin::Machinery; });
}

}  // namespace

void throw_not_found(const std::string& name, const ModulePaths& paths) {
  std::string searched;
  for (const std::filesystem::path& path : paths) {
    searched += (searched.empty() ? "" : ", ") + (path / "modules").string();
  }
  throw Error({.kind = ErrorKind::ModuleNotFound,
               .phase = Phase::Find,
               .module = name,
               .message = "no module " + quoted_name(name) + "; " +
                          (searched.empty() ? "there is no module path" : "looked in " + searched),
               .hint = similar_names_hint(name, paths)});
}

void throw_not_imported(const std::string& name, const ModulePaths& paths) {
  const py::object exception = take_raised();
  PythonException raised = describe(exception.ptr());
  if (is_module_missing(raised, name)) throw_not_found(name, paths);

  const std::string other = missing_module(raised);
  const std::string hint = other.empty() ? hint_for(raised) : similar_names_hint(other, paths);
  throw_with_cpp_exception(
      cpp_exception_of(exception.ptr()),
      Error({.kind = ErrorKind::ImportFailed,
             .phase = Phase::Import,
             .module = name,
             .message = "module '" + name + "' could not be imported: " + one_line(raised),
             .hint = hint,
             .exception = std::move(raised)}));
}

void throw_being_unloaded(const std::string& name) {
  throw Error({.kind = ErrorKind::HostClosed,
               .phase = Phase::Close,
               .module = name,
               .message = "module '" + name + "' cannot be loaded while it is being unloaded",
               .hint = "on_unload can call the functions of its own module directly",
               .closed = Closed::Module});
}

}  // namespace pyhost::detail
