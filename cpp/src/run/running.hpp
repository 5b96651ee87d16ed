// A call of create or run, from the dict that goes in to what comes of the object that is returned.
#pragma once

#include <string>

#include "run/awaiting.hpp"
#include "run/contract.hpp"
#include "run/current_run.hpp"
#include "run/handle_data.hpp"
#include "interpreter/output.hpp"
#include "pyhost/error.hpp"
#include "python/python.hpp"
#include "run/stopping.hpp"

namespace pyhost::detail {

/// Throws the error again, said of the module.
[[noreturn]] void throw_for(const std::string& module, const Error& error);

/// What the room of conversion refuses, said of the module that it was for.
template <class Conversion>
auto convert_for(const std::string& module, Conversion convert) {
  try {
    return convert();
  } catch (const Error& error) {
    throw_for(module, error);
  }
}

/// What `create` returns for this dict, awaited by nobody. Throws BadContract, ModuleRaised, TimedOut. The
/// caller holds the GIL.
inline py::object call_create(const CurrentRun& run, const ModuleData& module, const py::object& state) {
  // With room before the argument, where a bound method puts its object without an array of its own.
  PyObject* const arguments[] = {nullptr, state.ptr()};
  py::object object = with_output_flushed(call_inside(run,
                                                      [&] {
                                                        return PyObject_Vectorcall(
                                                            module.create.ptr(), arguments + 1,
                                                            1 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
                                                      })
                                              .release()
                                              .ptr());
  must_go_on(run, Phase::Create);
  if (!object) throw_from_create(module);
  return object;
}

/// What Python has set, which stays set; null if nothing is.
py::object raised_now();

/// What a call into the module's code returned, with what it printed written out. Throws TimedOut, Cancelled.
inline py::object finished(const CurrentRun& run, InstanceData& instance, py::object returned) {
  py::object result = with_output_flushed(returned.release().ptr());
  if (instance.closing >= Closing::Exit) [[unlikely]]
    instance.raised = result ? py::object() : raised_now();
  must_go_on(run, Phase::Run);
  return result;
}

/// What `run` returns, which may be async or yield. Throws BadContract, ModuleRaised, TimedOut. The caller
/// holds the GIL.
inline py::object call_run(const CurrentRun& run, InstanceData& instance) {
  const py::object object = instance.object;  // another thread may close the instance meanwhile,
  if (!object) [[unlikely]]
    instance.must_be_open();  // or who watches has just done so
  // Looked up at each call, as Python itself would: a `run` that is put on an instance later is found.
  py::object returned =
      finished(run, instance, call_inside(run, [&] {
                 return PyObject_CallMethodNoArgs(object.ptr(), instance.module->run_name.ptr());
               }));
  if (!returned) throw_from_run(*instance.module, object.ptr());
  return returned;
}

/// What an async `run` returned, awaited.
py::object awaited(const CurrentRun& run, InstanceData& instance, PyObject* coroutine);

/// The result of a `run` that gives it in another way than by returning it.
py::object result_given(const CurrentRun& run, InstanceData& instance, PyObject* returned, Giving giving);

/// The result of a whole run: what is async is awaited, what yields is collected in a list.
inline py::object result_of_run(const CurrentRun& run, InstanceData& instance) {
  py::object returned = call_run(run, instance);
  const Giving giving = giving_of(returned.ptr());
  if (giving != Giving::Result) [[unlikely]]
    return result_given(run, instance, returned.ptr(), giving);
  return returned;
}

}  // namespace pyhost::detail
