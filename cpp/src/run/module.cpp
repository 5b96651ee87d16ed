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
  // References without owners let the compiler keep the dict in a register.
  py::object dict =
      steal(state.text() != nullptr   ? conversions.to_python(*state.text()).release().ptr()
            : state.json() != nullptr ? conversions.to_python(*state.json()).release().ptr()
                                      : require(PyDict_New(), "making a state").release().ptr());
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
  try {
    const SpanTimer<observed> converting(host.on_span, SpanKind::Convert, module.name, run.id());
    return to_dict(host.conversions, state);
  } catch (const Error& error) {
    rethrow_for_module(module.name, error);
  }
}

[[gnu::always_inline]] inline std::shared_ptr<InstanceData> make_instance(std::shared_ptr<ModuleData> of) {
  return std::allocate_shared<InstanceData>(RecyclingAllocator<InstanceData>(), std::move(of));
}

// Releases the object after a failure. It leaks if Python may not be used any more.
void release_object(InstanceData& instance) noexcept {
  release(instance.module->host->interpreter, instance.object, instance.state);
}

// Calls the module's create for a new instance, and puts the object that it returns into the instance.
template <bool observed>
[[gnu::always_inline]] inline void create_in(const CurrentRun& run,
                                             const std::shared_ptr<InstanceData>& instance,
                                             const State& state) {
  const ModuleData& module = *instance->module;
  HostState& host = *module.host;
  const SpanTimer<observed> span_timer(host.on_span, SpanKind::Create, module.name, run.id());
  const auto begun = begin<observed>(host);
  instance->state = convert_state<observed>(run, module, state);
  instance->object = call_create(run, module, instance->state.ptr());
  open_instance(run, instance);
  if constexpr (observed)
    host.observers.notify_end(EventKind::Created, module.name, run, begun, !run.is_part());
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
    if (&options == &no_options) return;
    run.set_scheduled(options.scheduled.get());
    apply_limits(options, run);
  });
}

// These are not inlined, so that other runs do not spend anything on them.
[[gnu::noinline]] void create_observed(const CurrentRun& run, const std::shared_ptr<InstanceData>& instance,
                                       const State& state) {
  notify_failure_of(instance->module->host->observers, instance->module->name, [&] {
    try {
      create_in<true>(run, instance, state);
    } catch (...) {
      release_object(*instance);  // before the observers are notified
      throw;
    }
  });
}

template <class As>
[[gnu::noinline]] typename As::Result run_observed(const CurrentRun& run, InstanceData& instance,
                                                   const As& how, const RunOptions& options, bool closes) {
  return notify_failure_of(instance.module->host->observers, instance.module->name,
                           [&] { return run_alone<true>(run, instance, how, options, closes); });
}

[[gnu::always_inline]] inline std::shared_ptr<InstanceData> create_instance(
    const std::shared_ptr<ModuleData>& data, const State& state) {
  const ModuleData& module = require_handle(data);
  const CallEnd end;
  try {
    const GilAcquire gil;
    CurrentRun::Thread& thread = CurrentRun::this_thread();
    module.check_loaded(thread);
    const CurrentRun run(module.name, CurrentRun::Extent::Call, gil.thread_state(), thread);
    auto instance = make_instance(data);
    if (module.host->observed) [[unlikely]]
      create_observed(run, instance, state);
    else
      create_in<false>(run, instance, state);
    return instance;
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
typename As::Result create_and_run(const CurrentRun& run, std::shared_ptr<ModuleData>&& module,
                                   const State& state, const As& how) {
  const std::shared_ptr<InstanceData> instance = make_instance(std::move(module));
  const CallEnd end;
  try {
    try {
      instance->module->check_loaded(run.thread());
      create_in<false>(run, instance, state);
      CallEnd::check(nullptr);
      GilAcquire::check_access();
      instance->check_open(run.thread());
      const bool is_last_handle = instance.use_count() == 1;  // an unload of the module may hold another one
      return run_in<false>(run, *instance, how, is_last_handle, [] {});
    } catch (...) {
      if (instance.use_count() == 1) {  // the object is released before the error is reported
        close_quietly(*instance, nullptr);
        release_object(*instance);
      }
      throw;
    }
  } catch (const Error& error) {
    report_and_rethrow(*instance->module->host, error);
  }
}

template Json create_and_run(const CurrentRun&, std::shared_ptr<ModuleData>&&, const State&, const AsJson&);
template std::string create_and_run(const CurrentRun&, std::shared_ptr<ModuleData>&&, const State&,
                                    const AsText&);
template std::string create_and_run(const CurrentRun&, std::shared_ptr<ModuleData>&&, const State&,
                                    const AsJsonText&);
template Buffer create_and_run(const CurrentRun&, std::shared_ptr<ModuleData>&&, const State&,
                               const AsBuffer&);
template std::monostate create_and_run(const CurrentRun&, std::shared_ptr<ModuleData>&&, const State&,
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
