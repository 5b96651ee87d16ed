// The Python modules pyhost._connections and pyhost._store open and close them. They are not imported before
// a module uses them.
#include "services/connections.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "error/json_place.hpp"
#include "error/secrets.hpp"
#include "pyhost/run_options.hpp"
#include "python/gil.hpp"
#include "python/native_module.hpp"
#include "python/traceback.hpp"
#include "run/cancellation.hpp"
#include "run/current_run.hpp"

namespace pyhost::detail {

namespace {

py::object str(const std::string& text) {
  return require(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogateescape"),
                 "passing the connections to Python");
}

const CurrentRun& outermost_of(const CurrentRun& run) {
  const CurrentRun* at = &run;
  while (at->outer() != nullptr) at = at->outer();
  return *at;
}

// Returns a scheduled run's entry, its due time in microseconds since 1970, and the attempt; otherwise None.
PyObject* scheduled_of(const CurrentRun& run) {
  const Scheduled* const scheduled = run.scheduled();
  if (scheduled == nullptr) return borrow(Py_None).release().ptr();
  const auto due = std::chrono::duration_cast<std::chrono::microseconds>(scheduled->due.time_since_epoch());
  const std::string& entry = scheduled->entry;
  return Py_BuildValue(
      "NLi", PyUnicode_DecodeUTF8(entry.data(), static_cast<Py_ssize_t>(entry.size()), "surrogateescape"),
      static_cast<long long>(due.count()), scheduled->attempt);
}

// Returns the id of the run that this thread is in, its module, the id of the outermost run, and the result
// of scheduled_of(); None outside of a run.
PyObject* current_run(PyObject* /*self*/, PyObject* /*arguments*/) {
  const CurrentRun* run = CurrentRun::here();
  if (run == nullptr) return borrow(Py_None).release().ptr();
  const std::string_view module = run->module();
  PyObject* name = PyUnicode_FromStringAndSize(module.data(), static_cast<Py_ssize_t>(module.size()));
  if (name == nullptr) return nullptr;
  return Py_BuildValue("KNKN", static_cast<unsigned long long>(run->id()), name,
                       static_cast<unsigned long long>(outermost_of(*run).id()), scheduled_of(*run));
}

// Returns the whole str in UTF-8, encoded in the same way as stored secrets.
std::optional<std::string> whole(PyObject* str) {
  const py::object bytes = steal(PyUnicode_AsEncodedString(str, "utf-8", "backslashreplace"));
  if (!bytes) return std::nullopt;
  return std::string(PyBytes_AS_STRING(bytes.ptr()), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr())));
}

PyObject* hide_text(PyObject* /*self*/, PyObject* text) {
  std::optional<std::string> secret = whole(text);
  if (!secret) return nullptr;
  add_secret(*std::move(secret));
  return borrow(Py_None).release().ptr();
}

// Returns a variable of the process's environment, or None. os.environ is a copy from the start of Python, so
// it lacks what the application sets later.
PyObject* environment_variable(PyObject* /*self*/, PyObject* name) {
  const char* const utf8 = PyUnicode_AsUTF8(name);
  if (utf8 == nullptr) return nullptr;
  const char* const value = std::getenv(utf8);
  return value != nullptr ? PyUnicode_DecodeFSDefault(value) : borrow(Py_None).release().ptr();
}

PyObject* is_store_held(PyObject* /*self*/, PyObject* module) {
  const char* const utf8 = PyUnicode_AsUTF8(module);
  return utf8 != nullptr ? PyBool_FromLong(StoresHeldElsewhere::has(utf8) ? 1 : 0) : nullptr;
}

PyObject* postpone_deadline(PyObject* /*self*/, PyObject* seconds) {
  const double by = PyFloat_AsDouble(seconds);
  if (PyErr_Occurred() != nullptr) return nullptr;
  postpone_deadlines(std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(by)));
  return borrow(Py_None).release().ptr();
}

// Returns the text without the secrets of the list and without all hidden secrets.
PyObject* text_without(PyObject* /*self*/, PyObject* arguments) {
  PyObject *text = nullptr, *list = nullptr;
  if (PyArg_ParseTuple(arguments, "UO!", &text, &PyList_Type, &list) == 0) return nullptr;
  std::optional<std::string> shown = whole(text);
  std::vector<std::string> secrets;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) {
    std::optional<std::string> secret = whole(PyList_GET_ITEM(list, i));
    if (!secret) return nullptr;
    secrets.push_back(*std::move(secret));
  }
  if (!shown) return nullptr;
  const std::string left = mask_secrets(mask(*std::move(shown), std::move(secrets)));
  return PyUnicode_DecodeUTF8(left.data(), static_cast<Py_ssize_t>(left.size()), "replace");
}

// Returns the result of the conversion. An Error of it becomes a ValueError.
template <class Convert>
PyObject* converted(PyObject* self, Convert convert) {
  try {
    return convert(*owner_of<Conversions>(self)).release().ptr();
  } catch (const Error& error) {
    PyErr_SetString(PyExc_ValueError, error.message().c_str());
    return nullptr;
  }
}

PyObject* read_object(PyObject* self, PyObject* text) {
  Py_ssize_t size = 0;
  const char* const utf8 = PyUnicode_AsUTF8AndSize(text, &size);
  if (utf8 == nullptr) return nullptr;
  return converted(self, [&](Conversions& conversions) {
    return conversions.to_python(std::string_view(utf8, static_cast<std::size_t>(size)));
  });
}

PyObject* write_object(PyObject* self, PyObject* values) {
  return converted(self, [&](Conversions& conversions) { return str(conversions.to_text(values)); });
}

// Returns the module, or null if it has not been imported.
py::object if_imported(const char* name) {
  return borrow(PyDict_GetItemString(PyImport_GetModuleDict(), name));
}

[[noreturn]] void throw_not_stored(std::string_view module, const Error& error) {
  const std::string found = error.message().substr(in_words("the result", error.pointer()).size());
  throw Error({.kind = error.kind(),
               .phase = error.phase(),
               .module = std::string(module),
               .message = "module '" + std::string(module) +
                          "': " + in_words("pyhost.store", error.pointer()) + found + "; nothing was stored",
               .pointer = error.pointer(),
               .hint = error.hint()});
}

// Returns the content of the store at the end of the run, as text; None if the run has not used the store.
py::object left_in_store(const py::object& store, const Happening& happening, Conversions& conversions) {
  const py::object left =
      steal(PyObject_CallMethod(store.ptr(), "left_by", "K", static_cast<unsigned long long>(happening.run)));
  if (!left || left.is_none()) return left;
  try {
    const std::string text = conversions.to_text(left.ptr());
    return str(text);
  } catch (const Error& error) {
    throw_not_stored(happening.module, error);
  }
}

// Whether this thread is in no other run than this one.
bool is_outermost(RunId run) {
  const CurrentRun* const here = CurrentRun::here();
  return here == nullptr || outermost_of(*here).id() == run;
}

void begin_in_connections(const Happening& happening) {
  if (!is_outermost(happening.run)) return;
  const py::object connections = if_imported("pyhost._connections");
  if (connections && !steal(PyObject_CallMethod(connections.ptr(), "begin_run", "K",
                                                static_cast<unsigned long long>(happening.run)))) {
    PyErr_Clear();
  }
}

void end_in_connections(const Happening& happening, bool ends_well) {
  const py::object connections = if_imported("pyhost._connections");
  if (!connections) return;
  const py::object ended = steal(PyObject_CallMethod(
      connections.ptr(), "end_run", "KOOO", static_cast<unsigned long long>(happening.run),
      str(std::string(happening.module)).ptr(), ends_well ? Py_False : Py_True,
      is_outermost(happening.run) ? Py_True : Py_False));
  if (!ended) PyErr_Clear();
}

void end_in_store(const Happening& happening, Conversions& conversions, bool ends_well) {
  const py::object store = if_imported("pyhost._store");
  if (!store) return;
  const py::object text = ends_well ? left_in_store(store, happening, conversions) : borrow(Py_None);
  const py::object done =
      steal(text ? PyObject_CallMethod(store.ptr(), "end", "KO",
                                       static_cast<unsigned long long>(happening.run), text.ptr())
                 : nullptr);
  if (done) return;
  const std::string module(happening.module);
  throw_raised(ErrorKind::ModuleRaised, Phase::Run, module,
               "module '" + module + "' has run, but its store was not written: ");
}

void close_all(const char* name) noexcept {
  const py::object module = if_imported(name);
  if (module && !steal(PyObject_CallMethod(module.ptr(), "close_all", nullptr))) PyErr_Clear();
}

}  // namespace

thread_local const StoresHeldElsewhere* StoresHeldElsewhere::here = nullptr;

bool StoresHeldElsewhere::has(const std::string& module) {
  return here != nullptr && std::ranges::find(here->modules_, Json(module)) != here->modules_.end();
}

Json held_stores() {
  Json modules = Json::array();
  const py::object store = if_imported("pyhost._store");
  const py::object held = steal(store ? PyObject_CallMethod(store.ptr(), "held", nullptr) : nullptr);
  if (!held) PyErr_Clear();
  for (Py_ssize_t i = 0; held && i < PyList_GET_SIZE(held.ptr()); ++i)
    modules.push_back(std::string(view(PyList_GET_ITEM(held.ptr(), i))));
  return modules;
}

void check_store(const std::filesystem::path& store) {
  if (store.empty()) return;
  std::error_code failed;
  const std::filesystem::path folder = std::filesystem::absolute(store).parent_path();
  const bool is_folder = std::filesystem::is_directory(store, failed);
  if (!is_folder && std::filesystem::is_directory(folder, failed)) return;
  throw Error({.kind = ErrorKind::StartupFailed,
               .phase = Phase::Start,
               .message = "the store cannot be at " + store.string() + ": " +
                          (is_folder ? "that is a folder" : "there is no folder " + folder.string()),
               .hint = is_folder ? "name a file in it" : "create the folder, or name another file"});
}

void register_connections(const Options& options, Observers& observers,
                          const std::shared_ptr<Conversions>& conversions) {
  static PyMethodDef function{"current_run", current_run, METH_NOARGS, nullptr};
  add_native_function(function);
  static PyMethodDef held{"is_store_held", is_store_held, METH_O, nullptr};
  add_native_function(held);
  static PyMethodDef postponing{"postpone_deadline", postpone_deadline, METH_O, nullptr};
  add_native_function(postponing);
  static PyMethodDef hiding{"hide", hide_text, METH_O, nullptr};
  add_native_function(hiding);
  static PyMethodDef variable{"environment_variable", environment_variable, METH_O, nullptr};
  add_native_function(variable);
  static PyMethodDef masking{"without", text_without, METH_VARARGS, nullptr};
  add_native_function(masking);
  static PyMethodDef reading{"read_object", read_object, METH_O, nullptr};
  add_native_function(reading, conversions);
  static PyMethodDef writing{"write_object", write_object, METH_O, nullptr};
  add_native_function(writing, conversions);
  const py::object urls = require(PyDict_New(), "passing the connections to Python");
  for (const auto& [name, url] : options.connections) {
    if (PyDict_SetItem(urls.ptr(), str(name).ptr(), str(url).ptr()) != 0)
      require(nullptr, "passing the connections to Python");
  }
  set_native_attribute("connections", urls);
  const std::string file = options.store.empty() ? "" : std::filesystem::absolute(options.store).string();
  set_native_attribute("store_file", str(file));
  if (file.empty() && options.connections.empty()) return;
  observers.add([&shared = *conversions](const Happening& happening) {
    if (happening.kind == EventKind::RunStarted) return begin_in_connections(happening);
    const bool ends_well = !happening.kind;
    if (happening.run == 0 || (!ends_well && happening.kind != EventKind::Failed)) return;
    end_in_connections(happening, ends_well);
    end_in_store(happening, shared, ends_well);
  });
}

void close_connections() noexcept {
  close_all("pyhost._store");
  close_all("pyhost._connections");
  for (const char* name : {"connections", "store_file"}) {
    try {
      set_native_attribute(name, borrow(Py_None));
    } catch (const Error&) {
      // There is no memory for it, so modules still see the old value.
    }
  }
}

}  // namespace pyhost::detail
