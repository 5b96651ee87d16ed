// What a run may give other than by returning it, and how its errors are told.
#include "run/running.hpp"

namespace pyhost::detail {

py::object raised_now() {
  if (PyErr_Occurred() == nullptr) return {};
  py::object raised = take_raised();
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(raised.ptr())), raised.ptr());
  return raised;
}

void throw_for(const std::string& module, const Error& error) {
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
  py::object result = finished(run, instance, await(run, coroutine));
  if (!result) throw_module_raised(Phase::Run, *instance.module);
  return result;
}

py::object result_given(const CurrentRun& run, InstanceData& instance, PyObject* returned, Giving giving) {
  if (giving == Giving::Awaitable) return awaited(run, instance, returned);
  py::object list = finished(run, instance, collect(run, returned, giving));
  if (!list) throw_module_raised(Phase::Run, *instance.module);
  return list;
}

}  // namespace pyhost::detail
