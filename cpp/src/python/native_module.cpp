// The module is created with PyImport_AddModule, because a builtin module would have to be registered before
// CPython starts.
#include "python/native_module.hpp"

#include <utility>

#include "python/gil.hpp"

namespace pyhost::detail {

namespace {

// Returns a capsule that shares the owner.
py::object capsule_of(std::shared_ptr<void> owner) {
  auto content = std::make_unique<std::shared_ptr<void>>(std::move(owner));
  const auto destroy = [](PyObject* capsule) {
    delete static_cast<std::shared_ptr<void>*>(PyCapsule_GetPointer(capsule, nullptr));
  };
  py::object capsule = require(PyCapsule_New(content.get(), nullptr, destroy), "making a function");
  static_cast<void>(content.release());
  return capsule;
}

}  // namespace

void set_native_attribute(const char* name, const py::object& value) {
  const py::object module = borrow(PyImport_AddModule("_pyhost"));
  if (!module || PyObject_SetAttrString(module.ptr(), name, value.ptr()) != 0)
    require(nullptr, "making _pyhost");
}

py::object native_attribute(const char* name) {
  const py::object module = borrow(PyImport_AddModule("_pyhost"));
  py::object found = module ? steal(PyObject_GetAttrString(module.ptr(), name)) : py::object();
  PyErr_Clear();
  return found;
}

void add_native_function(PyMethodDef& function, std::shared_ptr<void> owner) {
  const py::object self = owner ? capsule_of(std::move(owner)) : py::object();
  set_native_attribute(function.ml_name,
                       require(PyCFunction_New(&function, self.ptr()), "making a function"));
}

}  // namespace pyhost::detail
