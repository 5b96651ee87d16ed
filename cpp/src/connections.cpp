// Python opens and closes both, in pyhost._connections and pyhost._store; neither is imported before a module
// uses it.
#include "connections.hpp"

#include "current_run.hpp"
#include "enter.hpp"
#include "json_place.hpp"
#include "python_side.hpp"
#include "secrets.hpp"
#include "traceback.hpp"

namespace pyhost::detail {

namespace {

constexpr std::size_t longest_secret = 4096;

PyObject* current_run(PyObject* /*self*/, PyObject* /*arguments*/) {
  const CurrentRun* run = CurrentRun::here();
  if (run == nullptr) return share(Py_None).release().ptr();
  const std::string_view module = run->module();
  PyObject* name = PyUnicode_FromStringAndSize(module.data(), static_cast<Py_ssize_t>(module.size()));
  return name != nullptr ? Py_BuildValue("KN", static_cast<unsigned long long>(run->id()), name) : nullptr;
}

PyObject* hide_text(PyObject* /*self*/, PyObject* text) {
  hide(text_of(text, longest_secret));
  return share(Py_None).release().ptr();
}

py::object str(const std::string& text) {
  return must(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogateescape"),
              "offering connections");
}

// Null if nobody has imported it.
py::object if_imported(const char* name) {
  return share(PyDict_GetItemString(PyImport_GetModuleDict(), name));
}

[[noreturn]] void throw_not_kept(std::string_view module, const Error& error) {
  const std::string found = error.message().substr(in_words("the result", error.pointer()).size());
  throw Error({.kind = error.kind(),
               .phase = error.phase(),
               .module = std::string(module),
               .message = "module '" + std::string(module) +
                          "': " + in_words("pyhost.store", error.pointer()) + found + "; nothing was stored",
               .pointer = error.pointer(),
               .hint = error.hint()});
}

// What the run left in the store, as text; None if it has not used it.
py::object left_in_store(const py::object& store, const Happening& happening, Conversions& conversions) {
  const py::object left =
      own(PyObject_CallMethod(store.ptr(), "left_by", "K", static_cast<unsigned long long>(happening.run)));
  if (!left || left.is_none()) return left;
  try {
    const std::string text = conversions.to_text(left.ptr());
    return str(text);
  } catch (const Error& error) {
    throw_not_kept(happening.module, error);
  }
}

// Whether no other run of this thread goes on.
bool is_outermost(RunId run) {
  const CurrentRun* at = CurrentRun::here();
  while (at != nullptr && at->outer() != nullptr) at = at->outer();
  return at == nullptr || at->id() == run;
}

void see_to_connections(const Happening& happening, bool ends_well) {
  if (!is_outermost(happening.run)) return;
  const py::object connections = if_imported("pyhost._connections");
  if (!connections) return;
  const py::object ended =
      own(PyObject_CallMethod(connections.ptr(), "end_run", "OO", str(std::string(happening.module)).ptr(),
                              ends_well ? Py_False : Py_True));
  if (!ended) PyErr_Clear();
}

void see_to_store(const Happening& happening, Conversions& conversions, bool ends_well) {
  const py::object store = if_imported("pyhost._store");
  if (!store) return;
  const py::object text = ends_well ? left_in_store(store, happening, conversions) : share(Py_None);
  const py::object done =
      own(text ? PyObject_CallMethod(store.ptr(), "end", "KO", static_cast<unsigned long long>(happening.run),
                                     text.ptr())
               : nullptr);
  if (done) return;
  const std::string module(happening.module);
  throw_raised(ErrorKind::ModuleRaised, Phase::Run, module,
               "module '" + module + "' has run, but its store was not written: ");
}

void close_all(const char* name) noexcept {
  const py::object module = if_imported(name);
  if (module && !own(PyObject_CallMethod(module.ptr(), "close_all", nullptr))) PyErr_Clear();
}

}  // namespace

void offer_connections(const Options& options, Watchers& watchers, Conversions& conversions) {
  static PyMethodDef function{"current_run", current_run, METH_NOARGS, nullptr};
  add_to_python_side(function);
  static PyMethodDef hiding{"hide", hide_text, METH_O, nullptr};
  add_to_python_side(hiding);
  const py::object urls = must(PyDict_New(), "offering connections");
  for (const auto& [name, url] : options.connections) {
    if (PyDict_SetItem(urls.ptr(), str(name).ptr(), str(url).ptr()) != 0)
      must(nullptr, "offering connections");
  }
  put_on_python_side("connections", urls);
  const std::string file = options.store.empty() ? "" : std::filesystem::absolute(options.store).string();
  put_on_python_side("store_file", str(file));
  if (file.empty() && options.connections.empty()) return;
  watchers.add([&conversions](const Happening& happening) {
    const bool ends_well = happening.moment == Moment::Ending;
    if (happening.run == 0 || (!ends_well && happening.moment != Moment::Failed)) return;
    see_to_connections(happening, ends_well);
    see_to_store(happening, conversions, ends_well);
  });
}

void close_connections() noexcept {
  close_all("pyhost._store");
  close_all("pyhost._connections");
  for (const char* name : {"connections", "store_file"}) {
    try {
      put_on_python_side(name, share(Py_None));
    } catch (const Error&) {
      // There is no memory: then modules go on to see what there was.
    }
  }
}

}  // namespace pyhost::detail
