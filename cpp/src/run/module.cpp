// Module and Instance: create, run and close.
#include "pyhost/module.hpp"

#include "convert/buffer_protocol.hpp"
#include "convert/convert.hpp"
#include "pyhost/error.hpp"
#include "run/borrowed_signals.hpp"
#include "run/cancellation.hpp"
#include "run/current_run.hpp"
#include "run/handle_data.hpp"
#include "run/life_cycle.hpp"
#include "run/module_call.hpp"
#include "run/observers.hpp"
#include "run/recycling_allocator.hpp"
#include "run/spans.hpp"
#include "run/whole_run.hpp"

namespace pyhost {

namespace detail {

namespace {

[[gnu::always_inline]] inline py::object to_dict(Conversions& conversions, const State& state) {
  py::object dict = state.text() != nullptr   ? conversions.to_python(*state.text())
                    : state.json() != nullptr ? conversions.to_python(*state.json())
                                              : require(PyDict_New(), "making a state");
  if (!state.buffers().empty()) put_buffers(dict.ptr(), state.buffers());
  return dict;
}

using Clock = std::chrono::steady_clock;

// Returns the time, for a notification at the end of the step that begins now.
template <bool observed>
Clock::time_point begin(const HostState& host) {
  return observed ? host.observers.begin() : Clock::time_point();
}

template <bool observed>
[[gnu::always_inline]] inline py::object convert_state(const CurrentRun& run, const ModuleData& module,
                                                       const State& state) {
  HostState& host = *module.host;
  return convert_for_module(module.name, [&] {
    const SpanTimer<observed> converting(host.on_span, SpanKind::Convert, module.name, run.id());
    return to_dict(host.conversions, state);
  });
}

// Calls the module's create, and makes the data of the instance from the object that it returns.
template <bool observed>
[[gnu::always_inline]] inline std::shared_ptr<InstanceData> create_in(
    const CurrentRun& run, const std::shared_ptr<ModuleData>& module, const State& state) {
  const std::string& name = module->name;
  HostState& host = *module->host;
  const SpanTimer<observed> span_timer(host.on_span, SpanKind::Create, name, run.id());
  const auto begun = begin<observed>(host);
  py::object dict = convert_state<observed>(run, *module, state);
  py::object object = call_create(run, *module, dict.ptr());
  auto created = std::allocate_shared<InstanceData>(RecyclingAllocator<InstanceData>(), module,
                                                    std::move(object), std::move(dict));
  open_instance(run, created);
  if constexpr (observed) host.observers.notify_end(EventKind::Created, name, run, begun, !run.is_part());
  return created;
}

// A run is the last part of a whole, so the end of the whole is notified here. An object that is closed with
// the run is closed before that, as at the end of a with statement.
template <bool observed, class As>
[[gnu::always_inline]] inline typename As::Result run_and_convert(const CurrentRun& run,
                                                                  InstanceData& instance, const As& how,
                                                                  bool closes, Clock::time_point begun) {
  const py::object returned = result_of_run(run, instance);
  const ModuleData& module = *instance.module;
  auto result = convert_result<observed>(*module.host, module.name, run.id(), returned.ptr(), how);
  if (closes) close_instance(instance, &run);
  if constexpr (observed)
    module.host->observers.notify_end(EventKind::RunEnded, module.name, run, begun, true);
  return result;
}

// Calls the instance's run, and converts its result. `prepare` applies the options.
template <bool observed, class As, class Prepare>
[[gnu::always_inline]] inline typename As::Result run_in(const CurrentRun& run, InstanceData& instance,
                                                         const As& how, bool closes, Prepare prepare) {
  const ModuleData& module = *instance.module;
  const SpanTimer<observed> span_timer(module.host->on_span, SpanKind::Run, module.name, run.id());
  const auto begun = begin<observed>(*module.host);
  prepare();
  if constexpr (observed) module.host->observers.notify(EventKind::RunStarted, module.name, run.id(), begun);
  try {
    return run_and_convert<observed>(run, instance, how, closes, begun);
  } catch (...) {
    if (closes && instance.closing != Closing::Nothing) close_quietly(instance, &run);
    throw;
  }
}

template <bool observed, class As>
[[gnu::always_inline]] inline typename As::Result run_alone(const CurrentRun& run, InstanceData& instance,
                                                            const As& how, const RunOptions& options,
                                                            bool closes) {
  const BorrowedSignals borrowed_signals(run);
  return run_in<observed>(run, instance, how, closes, [&] {
    run.set_scheduled(options.scheduled.get());
    apply_limits(options, run);
  });
}

// These are not inlined, so that other runs do not spend anything on them.
[[gnu::noinline]] std::shared_ptr<InstanceData> create_observed(const CurrentRun& run,
                                                                const std::shared_ptr<ModuleData>& module,
                                                                const State& state) {
  return notify_failure_of(module->host->observers, module->name,
                           [&] { return create_in<true>(run, module, state); });
}

template <class As>
[[gnu::noinline]] typename As::Result run_observed(const CurrentRun& run, InstanceData& instance,
                                                   const As& how, const RunOptions& options, bool closes) {
  return notify_failure_of(instance.module->host->observers, instance.module->name,
                           [&] { return run_alone<true>(run, instance, how, options, closes); });
}

std::shared_ptr<InstanceData> create_instance(const std::shared_ptr<ModuleData>& data, const State& state) {
  const ModuleData& module = require_handle(data);
  const CallEnd end;
  try {
    const GilAcquire gil;
    CurrentRun::Thread& thread = CurrentRun::this_thread();
    module.check_loaded(thread);
    const CurrentRun run(module.name, CurrentRun::Extent::Call, gil.thread_state(), thread);
    if (module.host->observed) [[unlikely]]
      return create_observed(run, data, state);
    return create_in<false>(run, data, state);
  } catch (const Error& error) {
    report_and_rethrow(*module.host, error);
  }
}

// An object that is closed with the run is released while the GIL is held anyway, also after a failure.
template <class As>
[[gnu::always_inline]] inline typename As::Result run_instance(InstanceData& instance, const As& how,
                                                               const RunOptions& options, bool closes) {
  const ModuleData& module = *instance.module;
  const CallEnd end;
  try {
    const GilAcquire gil;
    CurrentRun::Thread& thread = CurrentRun::this_thread();
    instance.check_open(thread);
    try {
      const CurrentRun run(module.name, CurrentRun::Extent::Call, gil.thread_state(), thread);
      if (module.host->observed) [[unlikely]]
        return run_observed(run, instance, how, options, closes);
      return run_alone<false>(run, instance, how, options, closes);
    } catch (...) {
      if (closes && instance.closing == Closing::Nothing) drop_object(instance);
      throw;
    }
  } catch (const Error& error) {
    report_and_rethrow(*module.host, error);
  }
}

}  // namespace

template <class As>
typename As::Result create_and_run(const CurrentRun& run, const std::shared_ptr<ModuleData>& module,
                                   const State& state, const As& how) {
  return report_errors(*module->host, [&] {
    module->check_loaded(run.thread());
    const std::shared_ptr<InstanceData> instance = create_in<false>(run, module, state);
    CallEnd::check(nullptr);
    GilAcquire::check_access();
    instance->check_open(run.thread());
    const bool is_last_handle = instance.use_count() == 1;  // an unload of the module may hold another one
    return run_in<false>(run, *instance, how, is_last_handle, [] {});
  });
}

template Json create_and_run(const CurrentRun&, const std::shared_ptr<ModuleData>&, const State&,
                             const AsJson&);
template std::string create_and_run(const CurrentRun&, const std::shared_ptr<ModuleData>&, const State&,
                                    const AsText&);
template std::string create_and_run(const CurrentRun&, const std::shared_ptr<ModuleData>&, const State&,
                                    const AsJsonText&);
template Buffer create_and_run(const CurrentRun&, const std::shared_ptr<ModuleData>&, const State&,
                               const AsBuffer&);
template std::monostate create_and_run(const CurrentRun&, const std::shared_ptr<ModuleData>&, const State&,
                                       const AsTyped&);

}  // namespace detail

const std::string& Module::name() const noexcept {
  static const std::string none;  // of a handle that was moved from
  return data_ ? data_->name : none;
}

Instance Module::create(const State& state) const { return Instance(detail::create_instance(data_, state)); }

template <class As>
typename As::Result Instance::run_as(const As& how, const RunOptions& options) const {
  return detail::run_instance(detail::require_handle(data_), how, options, false);
}

template <class As>
typename As::Result Instance::run_last(const As& how, const RunOptions& options) {
  const std::shared_ptr<detail::InstanceData> mine = std::move(data_);
  detail::InstanceData& instance = detail::require_handle(mine);
  const bool is_last_handle = mine.use_count() == 1;
  return detail::run_instance(instance, how, options, is_last_handle);
}

template <class As>
typename As::Result Instance::state_as(const As& how) const {
  if constexpr (std::same_as<As, detail::AsTyped>) {
    how.read(state_as(detail::AsJson()), "the state");
    return {};
  }
  const detail::InstanceData& instance = detail::require_handle(data_);
  const detail::GilAcquire gil;
  instance.check_open();
  try {
    return detail::convert(instance.module->host->conversions, instance.state.ptr(), how);
  } catch (const Error& error) {
    throw Error(
        {.kind = ErrorKind::InvalidState,
         .phase = Phase::Result,
         .module = instance.module->name,
         .message = "module '" + instance.module->name + "' has a state that is not JSON: " + error.message(),
         .pointer = error.pointer(),
         .hint = error.hint()});
  }
}

void Instance::close() {
  detail::report_errors(*detail::require_handle(data_).module->host, [&] {
    const detail::GilAcquire gil;
    data_->check_open();
    detail::close_instance(*data_, nullptr);
  });
}

template Json Instance::run_as(const detail::AsJson&, const RunOptions&) const;
template std::string Instance::run_as(const detail::AsText&, const RunOptions&) const;
template Buffer Instance::run_as(const detail::AsBuffer&, const RunOptions&) const;
template std::monostate Instance::run_as(const detail::AsTyped&, const RunOptions&) const;
template Json Instance::run_last(const detail::AsJson&, const RunOptions&);
template std::string Instance::run_last(const detail::AsText&, const RunOptions&);
template std::string Instance::run_last(const detail::AsJsonText&, const RunOptions&);
template Buffer Instance::run_last(const detail::AsBuffer&, const RunOptions&);
template std::monostate Instance::run_last(const detail::AsTyped&, const RunOptions&);
template Json Instance::state_as(const detail::AsJson&) const;
template std::string Instance::state_as(const detail::AsText&) const;
template std::monostate Instance::state_as(const detail::AsTyped&) const;

}  // namespace pyhost
