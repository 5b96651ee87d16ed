// Calls create and run, and converts their results.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "convert/buffer_protocol.hpp"
#include "convert/convert.hpp"
#include "interpreter/output.hpp"
#include "pyhost/error.hpp"
#include "pyhost/result.hpp"
#include "python/python.hpp"
#include "run/async_call.hpp"
#include "run/cancellation.hpp"
#include "run/contract.hpp"
#include "run/current_run.hpp"
#include "run/handle_data.hpp"
#include "run/module_code.hpp"
#include "run/spans.hpp"

namespace pyhost::detail {

/// Rethrows the error with the module's name added.
[[noreturn]] void rethrow_for_module(const std::string& module, const Error& error);

/// Calls the conversion. Its errors name the module.
template <class Conversion>
auto convert_for_module(const std::string& module, Conversion convert) {
  try {
    return convert();
  } catch (const Error& error) {
    rethrow_for_module(module, error);
  }
}

inline Json convert(Conversions& conversions, PyObject* result, AsJson /*how*/) {
  if (result == Py_None) return {};
  return conversions.to_json(result);
}
inline std::string convert(Conversions& conversions, PyObject* result, AsText /*how*/) {
  return conversions.to_text(result);
}
inline std::string convert(Conversions& conversions, PyObject* result, AsJsonText /*how*/) {
  return conversions.to_text(result, Integers::OfJson);
}
inline Buffer convert(Conversions& /*unused*/, PyObject* result, AsBuffer /*how*/) {
  return buffer_from(result);
}
inline std::monostate convert(Conversions& conversions, PyObject* result, const AsTyped& how) {
  how.read(conversions.to_json(result));
  return {};
}

/// Converts the object that a run returned, as convert_for_module() does, but without a function that the
/// compiler may not inline. The caller holds the GIL.
template <bool observed = true, class As>
[[gnu::always_inline]] inline typename As::Result convert_result(HostState& host, const std::string& module,
                                                                 RunId run, PyObject* result, const As& how) {
  try {
    const SpanTimer<observed> converting(host.on_span, SpanKind::Convert, module, run);
    return convert(host.conversions, result, how);
  } catch (const Error& error) {
    rethrow_for_module(module, error);
  }
}

/// Calls `create` with this dict, and returns its result, which is not awaited. Throws BadContract,
/// ModuleRaised, TimedOut. The caller holds the GIL.
[[gnu::always_inline]] inline py::object call_create(const CurrentRun& run, const ModuleData& module,
                                                     PyObject* state) {
  // The free slot before the argument lets a bound method insert its object without a new array.
  PyObject* const arguments[] = {nullptr, state};
  py::object object = with_output_flushed(call_module_code(run.thread(), [&] {
    return PyObject_Vectorcall(module.create.ptr(), arguments + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET,
                               nullptr);
  }));
  throw_if_cancelled(run, Phase::Create);
  if (!object) throw_from_create(module);
  return object;
}

/// Returns Python's current exception, which stays set; null if there is none.
py::object current_exception();

/// Flushes the output of a call into the module's code, and returns its result, a new reference that it
/// steals. Throws TimedOut, Cancelled.
[[gnu::always_inline]] inline py::object finish_call(const CurrentRun& run, InstanceData& instance,
                                                     PyObject* returned) {
  py::object result = with_output_flushed(returned);
  if (instance.closing >= Closing::Exit) [[unlikely]]
    instance.raised = result ? py::object() : current_exception();
  throw_if_cancelled(run, Phase::Run);
  return result;
}

/// Calls `run`, and returns its result, which may be a coroutine or a generator. Throws BadContract,
/// ModuleRaised, TimedOut. The caller holds the GIL.
[[gnu::always_inline]] inline py::object call_run(const CurrentRun& run, InstanceData& instance) {
  const py::object object = instance.object;  // kept, because another thread may close the instance
  if (!object) [[unlikely]]
    instance.throw_not_open();  // an observer may have closed it just now
  // Looked up at each call, as Python itself does, so that a `run` that is set on an instance later is found.
  py::object returned =
      finish_call(run, instance, call_module_code(run.thread(), [&] {
                    return PyObject_CallMethodNoArgs(object.ptr(), instance.module->run_name.ptr());
                  }));
  if (!returned) throw_from_run(*instance.module, object.ptr());
  return returned;
}

/// Returns the result of the coroutine of an async `run`.
py::object awaited(const CurrentRun& run, InstanceData& instance, PyObject* coroutine);

/// Returns the result of a `run` that is async or yields.
py::object collected_result(const CurrentRun& run, InstanceData& instance, PyObject* returned,
                            ResultForm form);

/// Returns the result of a whole run: a coroutine is awaited, and the items of a generator are collected in a
/// list.
[[gnu::always_inline]] inline py::object result_of_run(const CurrentRun& run, InstanceData& instance) {
  py::object returned = call_run(run, instance);
  const ResultForm form = result_form_of(returned.ptr());
  if (form != ResultForm::Result) [[unlikely]]
    returned = collected_result(run, instance, returned.ptr(), form);
  return returned;
}

}  // namespace pyhost::detail
