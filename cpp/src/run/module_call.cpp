// Results of async runs and generators, and errors that name the module.
#include "run/module_call.hpp"

namespace pyhost::detail {

py::object current_exception() {
  if (PyErr_Occurred() == nullptr) return {};
  py::object raised = take_raised();
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(raised.ptr())), raised.ptr());
  return raised;
}

void rethrow_for_module(const std::string& module, const Error& error) {
  throw Error({.kind = error.kind(),
               .phase = error.phase(),
               .module = module,
               .message = "module '" + module + "': " + error.message(),
               .pointer = error.pointer(),
               .hint = error.hint(),
               .place = error.place(),
               .exception = error.exception()});
}

py::object awaited(const CurrentRun& run, InstanceData& instance, PyObject* coroutine) {
  py::object result = finish_call(run, instance, await(run, coroutine).release().ptr());
  if (!result) throw_module_raised(Phase::Run, *instance.module);
  return result;
}

py::object collected_result(const CurrentRun& run, InstanceData& instance, PyObject* returned,
                            ResultForm form) {
  if (form == ResultForm::Awaitable) return awaited(run, instance, returned);
  py::object list = finish_call(run, instance, collect(run, returned, form).release().ptr());
  if (!list) throw_module_raised(Phase::Run, *instance.module);
  return list;
}

}  // namespace pyhost::detail
