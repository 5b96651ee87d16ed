// The snapshot is stored in the interpreter's own dict, so each interpreter has its own.
#include "interpreter/interpreter_snapshot.hpp"

#include <array>

#include "python/gil.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

namespace {

constexpr const char* snapshot_key = "pyhost.snapshot";
constexpr std::array<const char*, 3> lists{"meta_path", "path_hooks", "path"};

py::object saved(const char* name) {
  PyObject* const dict = PyInterpreterState_GetDict(PyInterpreterState_Get());
  PyObject* const snapshot = dict != nullptr ? PyDict_GetItemString(dict, snapshot_key) : nullptr;
  return borrow(snapshot != nullptr ? PyDict_GetItemString(snapshot, name) : nullptr);
}

// Returns whether the object is gone, or was callable before and is not now.
bool is_unusable(PyObject* now, PyObject* before) {
  return now == nullptr || (PyCallable_Check(before) != 0 && PyCallable_Check(now) == 0);
}

void restore_dict(PyObject* dict, const py::object& before) {
  if (dict == nullptr || !before) return;
  PyObject *name = nullptr, *value = nullptr;
  for (Py_ssize_t at = 0; PyDict_Next(before.ptr(), &at, &name, &value) != 0;) {
    if (is_unusable(PyDict_GetItem(dict, name), value)) PyDict_SetItem(dict, name, value);
  }
}

void restore_modules() {
  const py::object dict = saved("modules dict");
  if (dict && PySys_GetObject("modules") != dict.ptr()) PySys_SetObject("modules", dict.ptr());
  restore_dict(dict.ptr(), saved("modules"));
}

bool holds(PyObject* list, PyObject* wanted) {
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) {
    PyObject* item = PyList_GET_ITEM(list, i);
    if (item == wanted) return true;
    // Compares by value only if that runs no module code.
    if (PyUnicode_CheckExact(item) && PyUnicode_CheckExact(wanted) && PyUnicode_Compare(item, wanted) == 0) {
      return true;
    }
  }
  return false;
}

void restore_list(const char* name) {
  const py::object before = saved(name);
  if (!before) return;
  py::object now = borrow(PySys_GetObject(name));
  if (!now || !PyList_Check(now.ptr())) {
    now = steal(PyList_New(0));
    if (!now || PySys_SetObject(name, now.ptr()) != 0) return;
  }
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(before.ptr()); ++i) {
    PyObject* item = PyList_GET_ITEM(before.ptr(), i);
    if (!holds(now.ptr(), item)) PyList_Append(now.ptr(), item);
  }
}

void save(const py::object& snapshot, const char* name, py::object value) {
  if (!value || PyDict_SetItemString(snapshot.ptr(), name, value.ptr()) != 0) {
    require(nullptr, "saving the state of the interpreter");
  }
}

}  // namespace

void take_interpreter_snapshot() {
  if (saved("modules")) return restore_interpreter_snapshot();
  const py::object snapshot = require(PyDict_New(), "saving the state of the interpreter");
  PyObject* const modules = PyImport_GetModuleDict();
  save(snapshot, "modules dict", borrow(modules));
  save(snapshot, "modules", steal(PyDict_Copy(modules)));
  save(snapshot, "builtins", steal(PyDict_Copy(PyEval_GetBuiltins())));
  save(snapshot, "recursion limit", steal(PyLong_FromLong(Py_GetRecursionLimit())));
  for (const char* name : lists) {
    PyObject* const list = PySys_GetObject(name);
    save(snapshot, name, steal(list != nullptr ? PySequence_List(list) : PyList_New(0)));
  }
  PyObject* const dict = PyInterpreterState_GetDict(PyInterpreterState_Get());
  if (dict == nullptr || PyDict_SetItemString(dict, snapshot_key, snapshot.ptr()) != 0) {
    require(nullptr, "saving the state of the interpreter");
  }
}

void restore_interpreter_snapshot() noexcept {
  restore_dict(PyEval_GetBuiltins(), saved("builtins"));
  restore_modules();
  for (const char* name : lists) restore_list(name);
  const py::object limit = saved("recursion limit");
  const int before = limit ? static_cast<int>(PyLong_AsLong(limit.ptr())) : 0;
  if (Py_GetRecursionLimit() < before) Py_SetRecursionLimit(before);
  PyErr_Clear();
}

}  // namespace pyhost::detail
