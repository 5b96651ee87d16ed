// Calls create and run, and looks at how that went before anything else is done.
#include "running.hpp"

#include "contract.hpp"
#include "output.hpp"
#include "stopping.hpp"

namespace pyhost::detail {

namespace {

// Looks without taking.
py::object raised_now() {
  if (PyErr_Occurred() == nullptr) return {};
  py::object raised = take_raised();
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(raised.ptr())), raised.ptr());
  return raised;
}

}  // namespace

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

py::object call_create(const CurrentRun& run, const ModuleData& module, const py::object& state) {
  py::object object = with_output_flushed(
      call_inside(run, [&] { return PyObject_CallOneArg(module.create.ptr(), state.ptr()); })
          .release()
          .ptr());
  must_go_on(run, Phase::Create);
  if (!object) throw_from_create(module);
  return object;
}

py::object finished(const CurrentRun& run, InstanceData& instance, py::object returned) {
  py::object result = with_output_flushed(returned.release().ptr());
  if (instance.closing == Closing::Exit) instance.raised = result ? py::object() : raised_now();
  must_go_on(run, Phase::Run);
  return result;
}

py::object call_run(const CurrentRun& run, InstanceData& instance, Giving& giving) {
  // Looked up at each call, as Python itself would: a `run` that is put on an instance later is found.
  py::object returned =
      finished(run, instance, call_inside(run, [&] {
                 return PyObject_CallMethodNoArgs(instance.object.ptr(), instance.module->run_name.ptr());
               }));
  if (!returned) throw_from_run(instance);
  giving = giving_of(returned.ptr());
  if (giving != Giving::Awaitable) return returned;
  giving = Giving::Result;
  py::object awaited = finished(run, instance, await(run, returned.ptr()));
  if (!awaited) throw_module_raised(Phase::Run, *instance.module);
  return awaited;
}

py::object result_of_run(const CurrentRun& run, InstanceData& instance) {
  Giving giving = Giving::Result;
  py::object returned = call_run(run, instance, giving);
  if (giving == Giving::Result) return returned;
  py::object list = finished(run, instance, collect(run, returned.ptr(), giving));
  if (!list) throw_module_raised(Phase::Run, *instance.module);
  return list;
}

}  // namespace pyhost::detail
