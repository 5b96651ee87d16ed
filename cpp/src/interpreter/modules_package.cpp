// Finds the module paths, and makes the package that spans them.
#include "interpreter/modules_package.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "interpreter/installation.hpp"
#include "pyhost/error.hpp"
#include "python/gil.hpp"

namespace pyhost::detail {

namespace {

namespace fs = std::filesystem;

// Prefix of a module path on sys.path. Such an entry does not name a folder, so imports ignore it.
// multiprocessing passes sys.path to its children, with spawn and with forkserver.
constexpr std::string_view mark = "pyhost-module-path:";

[[noreturn]] void refuse(const fs::path& path, std::string_view problem, std::string hint) {
  throw Error({.kind = ErrorKind::StartupFailed,
               .phase = Phase::Start,
               .message = "module path '" + path.string() + "' " + std::string(problem),
               .hint = std::move(hint)});
}

fs::path checked(const fs::path& path) {
  const std::string hint = "a module path is a folder that contains a folder 'modules'";
  std::error_code failed;
  const fs::file_status status = fs::status(path, failed);
  if (!fs::exists(status)) refuse(path, "does not exist", hint);
  if (!fs::is_directory(status)) refuse(path, "is not a folder", hint);
  if (!fs::is_directory(path / "modules", failed)) {
    if (fs::canonical(path).filename() == "modules")
      refuse(path, "does not contain a folder 'modules'", "use its parent folder");
    refuse(path, "does not contain a folder 'modules'", hint);
  }
  return fs::canonical(path);
}

// Returns the folder to search for a module: modules/a/b for "a.b.c".
fs::path folder_of(const fs::path& path, std::string_view name) {
  fs::path folder = path / "modules";
  for (std::size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
    folder /= name.substr(0, dot);
    name.remove_prefix(dot + 1);
  }
  return folder;
}

py::object text(std::string_view utf8) {
  return require(PyUnicode_DecodeFSDefaultAndSize(utf8.data(), static_cast<Py_ssize_t>(utf8.size())),
                 "reading a path");
}

py::object sys_object(const char* name) {
  py::object object = borrow(PySys_GetObject(name));
  if (!object) {
    throw Error({.kind = ErrorKind::StartupFailed,
                 .phase = Phase::Find,
                 .message = std::string("sys.") + name + " is gone: a module deleted it"});
  }
  return object;
}

// The entry is after the standard library, so that our files cannot shadow it, and before site-packages, so
// that a package `modules` there cannot shadow ours.
void put_on_sys_path(const fs::path& folder) {
  const py::object path = sys_object("path");
  const py::object entry = text(folder.string());
  const int there = PySequence_Contains(path.ptr(), entry.ptr());
  if (there < 0) require(nullptr, "reading sys.path");
  if (there == 1) return;
  Py_ssize_t at = 0;
  for (; at < PyList_Size(path.ptr()); ++at) {
    const std::string_view other = view(PyList_GET_ITEM(path.ptr(), at));
    if (other.ends_with("/site-packages") || other.ends_with("/dist-packages")) break;
  }
  if (PyList_Insert(path.ptr(), at, entry.ptr()) != 0) require(nullptr, "extending sys.path");
}

void put_marks_on_sys_path(const ModulePaths& paths) {
  const py::object path = sys_object("path");
  for (const fs::path& each : paths) {
    const py::object entry = text(std::string(mark) + each.string());
    if (PyList_Append(path.ptr(), entry.ptr()) != 0) require(nullptr, "extending sys.path");
  }
}

// For importlib.resources: the loader of a namespace package does not accept a __path__ that is a list.
// `self` is that list.
PyObject* get_resource_reader(PyObject* self, PyObject* /*name*/) {
  const py::object resources = steal(PyImport_ImportModule("pyhost._resources"));
  return resources ? PyObject_CallMethod(resources.ptr(), "namespace_reader", "O", self) : nullptr;
}

void add_resource_reader(const py::object& spec, const py::object& path) {
  // importlib.resources of Python 3.9 does not support a package of several folders.
  if (PY_VERSION_HEX < 0x030A0000) return;
  static PyMethodDef method{"get_resource_reader", get_resource_reader, METH_O, nullptr};
  const py::object loader = require(PyObject_GetAttrString(spec.ptr(), "loader"), "reading a ModuleSpec");
  const py::object function = require(PyCFunction_New(&method, path.ptr()), "making a function");
  if (PyObject_SetAttrString(loader.ptr(), method.ml_name, function.ptr()) != 0)
    require(nullptr, "making the package modules");
}

}  // namespace

ModulePaths find_module_paths(const ModulePaths& given) {
  ModulePaths found;
  if (!given.empty()) {
    std::ranges::transform(given, std::back_inserter(found), checked);
    return found;
  }
  for (const fs::path& path : {fs::path("python_modules"), fs::path("."), python_modules()}) {
    std::error_code failed;
    if (path.empty() || !fs::is_directory(path / "modules", failed)) continue;
    fs::path absolute = fs::canonical(path);
    if (std::ranges::find(found, absolute) == found.end()) found.push_back(std::move(absolute));
  }
  return found;
}

void refuse_ambiguous(const ModulePaths& paths, std::string_view name) {
  for (std::size_t dot = name.find('.');; dot = name.find('.', dot + 1)) {
    const std::string_view asked = name.substr(0, dot);
    for (const fs::path& path : paths) {
      std::error_code failed;
      const fs::path package = folder_of(path, asked) / asked.substr(asked.rfind('.') + 1);
      const fs::path file = package.string() + ".py";
      const bool is_package = fs::is_regular_file(package / "__init__.py", failed);
      const bool is_file = fs::is_regular_file(file, failed);
      if (is_package && is_file) {
        throw Error({.kind = ErrorKind::ImportFailed,
                     .phase = Phase::Find,
                     .module = std::string(name),
                     .message = "module '" + std::string(asked) + "' exists twice: " + file.string() +
                                " and " + (package / "__init__.py").string(),
                     .hint = "remove one of them"});
      }
      if (is_package || is_file) break;
    }
    if (dot == std::string_view::npos) return;
  }
}

std::vector<std::string> list_names(const ModulePaths& paths, std::string_view like) {
  const std::size_t dot = like.rfind('.');
  const std::string parents(dot == std::string_view::npos ? "" : like.substr(0, dot + 1));
  std::set<std::string> names;
  for (const fs::path& path : paths) {
    std::error_code failed;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder_of(path, like), failed)) {
      const fs::path& file = entry.path();
      const bool package = fs::is_regular_file(file / "__init__.py", failed);
      if ((package || file.extension() == ".py") && file.filename() != "__init__.py") {
        names.insert(parents + file.stem().string());
      }
    }
  }
  return {names.begin(), names.end()};
}

ModulesPackage::ModulesPackage(const ModulePaths& paths) {
  name_ = require(PyUnicode_InternFromString("modules"), "making a str");
  path_name_ = require(PyUnicode_InternFromString("__path__"), "making a str");
  path_ = require(PyList_New(0), "making modules.__path__");
  for (const fs::path& path : paths) {
    const py::object folder = text((path / "modules").string());
    if (PyList_Append(path_.ptr(), folder.ptr()) != 0) require(nullptr, "making modules.__path__");
  }
  // The frozen core of importlib. Importing all of importlib and importlib.util would take another
  // millisecond at each start.
  importlib_ = require(PyImport_ImportModule("_frozen_importlib"), "importing importlib");
  const py::object make_spec =
      require(PyObject_GetAttrString(importlib_.ptr(), "ModuleSpec"), "finding ModuleSpec");
  const py::object spec =
      require(PyObject_CallFunction(make_spec.ptr(), "sO", "modules", Py_None), "making a ModuleSpec");
  if (PyObject_SetAttrString(spec.ptr(), "submodule_search_locations", path_.ptr()) != 0) {
    require(nullptr, "setting modules.__path__");
  }
  package_ = require(PyObject_CallMethod(importlib_.ptr(), "module_from_spec", "O", spec.ptr()),
                     "making the package modules");
  sys_modules_ = PyImport_GetModuleDict();
  dict_ = PyModule_GetDict(package_.ptr());
  add_resource_reader(spec, path_);

  if (const fs::path own_files = python_modules(); !own_files.empty()) put_on_sys_path(own_files);
  put_marks_on_sys_path(paths);
  restore();
}

void ModulesPackage::restore() {
  const py::object modules = sys_object("modules");
  if (PyObject_SetAttrString(package_.ptr(), "__path__", path_.ptr()) != 0 ||
      PyDict_SetItemString(modules.ptr(), "modules", package_.ptr()) != 0) {
    require(nullptr, "putting modules into sys.modules");
  }
}

bool ModulesPackage::look_up_intact() const noexcept {
  const DictVersion modules = DictVersion::of(sys_modules_);  // before looking up, which may call an __eq__
  const DictVersion version = DictVersion::of(dict_);
  if (dict_item(sys_modules_, name_.ptr()) != package_.ptr() ||
      dict_item(dict_, path_name_.ptr()) != path_.ptr())
    return false;
  known_modules_ = modules;
  known_dict_ = version;
  return true;
}

namespace {

// Returns the name of the missing module if Python has set a ModuleNotFoundError. Does not clear the error.
std::string missing_name() {
  if (PyErr_ExceptionMatches(PyExc_ModuleNotFoundError) == 0) return {};
  py::error_scope raised;
  PyErr_NormalizeException(&raised.type, &raised.value, &raised.trace);
  const py::object name = steal(PyObject_GetAttrString(raised.value, "name"));
  return std::string(view(name.ptr()));
}

}  // namespace

bool ModulesPackage::has(std::string_view name) const noexcept {
  PyObject* const modules = PySys_GetObject("modules");
  const std::string full = "modules." + std::string(name);
  PyObject* const module =
      modules != nullptr && PyDict_Check(modules) ? PyDict_GetItemString(modules, full.c_str()) : nullptr;
  if (module == nullptr || !PyModule_Check(module)) return module != nullptr;
  PyObject* const spec = PyDict_GetItemString(PyModule_GetDict(module), "__spec__");
  return spec != nullptr && spec != Py_None;
}

bool ModulesPackage::finds(std::string_view name) const noexcept {
  const std::string full = "modules." + std::string(name);
  const py::object util = steal(PyImport_ImportModule("importlib.util"));
  const py::object spec =
      util ? steal(PyObject_CallMethod(util.ptr(), "find_spec", "s", full.c_str())) : py::object();
  PyErr_Clear();
  return spec && !spec.is_none();
}

py::object ModulesPackage::import_by_name(std::string_view name) {
  const std::string full = "modules." + std::string(name);
  const py::object modules = sys_object("modules");
  py::object by_hand;
  if (!has(name)) {
    by_hand = borrow(PyDict_GetItemString(modules.ptr(), full.c_str()));
    if (by_hand) PyDict_DelItemString(modules.ptr(), full.c_str());
  }
  const auto import_module = [&] {  // this is what importlib.import_module calls
    return steal(PyObject_CallMethod(importlib_.ptr(), "_gcd_import", "s", full.c_str()));
  };
  py::object module = import_module();
  if (module || missing_name() != full) return module;
  PyErr_Clear();
  // A file takes precedence over a module that was put into sys.modules by hand.
  if (by_hand && PyDict_SetItemString(modules.ptr(), full.c_str(), by_hand.ptr()) == 0) return by_hand;
  // The file may be newer than the cached list of its folder, but within the resolution of the clock.
  const py::object importlib = steal(PyImport_ImportModule("importlib"));
  if (!importlib || !steal(PyObject_CallMethod(importlib.ptr(), "invalidate_caches", nullptr))) return {};
  return import_module();
}

namespace {

// Returns the names of a package or module in sys.modules, and the names below it.
std::vector<py::object> names_within(std::string_view full) noexcept {
  std::vector<py::object> found;
  const py::object modules = borrow(PySys_GetObject("modules"));
  const py::object names = modules ? steal(PyDict_Keys(modules.ptr())) : py::object();
  for (Py_ssize_t i = 0; names && i < PyList_GET_SIZE(names.ptr()); ++i) {
    PyObject* const name = PyList_GET_ITEM(names.ptr(), i);
    const std::string_view text = view(name);
    if (text.starts_with(full) && (text.size() == full.size() || text[full.size()] == '.'))
      found.push_back(borrow(name));
  }
  PyErr_Clear();
  return found;
}

std::set<std::string> imported_names() noexcept {
  std::set<std::string> names;
  for (const py::object& name : names_within("modules")) names.emplace(view(name.ptr()));
  return names;
}

}  // namespace

py::object ModulesPackage::import(const std::string& name) {
  const std::set<std::string> before = imported_names();
  py::object module = import_by_name(name);
  const py::error_scope raised;
  std::vector<std::string>& imported = imported_by_load_[name];
  std::ranges::set_difference(imported_names(), before, std::back_inserter(imported));
  return module;
}

namespace {

void remove_from_sys_modules(const py::object& name) noexcept {
  PyObject* const modules = PySys_GetObject("modules");
  if (modules != nullptr && PyDict_Check(modules)) PyDict_DelItem(modules, name.ptr());
  PyErr_Clear();
}

// If a source was edited within the same second, and to the same length, Python would use the old bytecode.
void drop_bytecode(PyObject* module) {
  const py::object spec = steal(PyObject_GetAttrString(module, "__spec__"));
  const auto file = [&](const char* attribute) {
    const py::object name = steal(spec ? PyObject_GetAttrString(spec.ptr(), attribute) : nullptr);
    const py::object bytes =
        steal(name && PyUnicode_Check(name.ptr()) ? PyUnicode_EncodeFSDefault(name.ptr()) : nullptr);
    PyErr_Clear();
    return std::string(bytes ? PyBytes_AS_STRING(bytes.ptr()) : "");
  };
  const std::string source = file("origin"), compiled = file("cached");
  std::error_code failed;
  if (source.ends_with(".py") && compiled.ends_with(".pyc")) fs::remove(compiled, failed);
}

// Makes the next import of a module, and of everything below it, read the source.
void forget_module(std::string_view full) noexcept {
  PyObject* const modules = PyImport_GetModuleDict();
  for (const py::object& name : names_within(full)) {
    if (const py::object module = borrow(PyDict_GetItem(modules, name.ptr()))) drop_bytecode(module.ptr());
    remove_from_sys_modules(name);
  }
  const std::size_t dot = full.rfind('.');
  const py::object parent = borrow(PyDict_GetItemString(modules, std::string(full.substr(0, dot)).c_str()));
  if (parent) PyObject_DelAttrString(parent.ptr(), std::string(full.substr(dot + 1)).c_str());
  PyErr_Clear();
}

py::object list_of(const std::vector<std::string>& texts) noexcept {
  py::object list = steal(PyList_New(0));
  for (const std::string& each : texts) {
    const py::object text = steal(PyUnicode_FromString(each.c_str()));
    if (list && text) PyList_Append(list.ptr(), text.ptr());
  }
  return list;
}

}  // namespace

void ModulesPackage::forget(const std::string& name, const std::vector<std::string>& loaded) noexcept {
  forget_helpers(name, loaded);
  forget_module("modules." + name);
}

void ModulesPackage::forget_helpers(const std::string& name,
                                    const std::vector<std::string>& loaded) noexcept {
  const py::object imported = list_of(std::exchange(imported_by_load_[name], {}));
  const py::object others = list_of(loaded);
  const py::object finder = steal(PyImport_ImportModule("pyhost._helpers"));
  const py::object unused =
      steal(finder && imported && others
                ? PyObject_CallMethod(finder.ptr(), "unused_helpers", "sOO", ("modules." + name).c_str(),
                                      imported.ptr(), others.ptr())
                : nullptr);
  for (Py_ssize_t i = 0; unused && i < PyList_GET_SIZE(unused.ptr()); ++i)
    forget_module(view(PyList_GET_ITEM(unused.ptr(), i)));
  PyErr_Clear();
}

void ModulesPackage::remove() noexcept {
  for (const py::object& name : names_within("modules")) remove_from_sys_modules(name);
  const py::object path = borrow(PySys_GetObject("path"));
  for (Py_ssize_t i = path && PyList_Check(path.ptr()) ? PyList_GET_SIZE(path.ptr()) : 0; i-- > 0;) {
    // With a bounds check, because module code may run below.
    const py::object entry = borrow(PyList_GetItem(path.ptr(), i));
    if (view(entry.ptr()).starts_with(mark)) PySequence_DelItem(path.ptr(), i);
    PyErr_Clear();
  }
  package_ = path_ = importlib_ = name_ = path_name_ = py::object();
}

}  // namespace pyhost::detail
