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

namespace pyhost {

namespace detail {

namespace {

py::object to_dict(Conversions& conversions, const State& state) {
  py::object dict = state.text() != nullptr   ? conversions.to_python(*state.text())
                    : state.json() != nullptr ? conversions.to_python(*state.json())
                                              : require(PyDict_New(), "making a state");
  if (!state.buffers().empty()) put_buffers(dict.ptr(), state.buffers());
  return dict;
}

std::shared_ptr<InstanceData> create_instance(const std::shared_ptr<ModuleData>& module, const State& state) {
  HostState& host = *require_handle(module).host;
  return as_run(
      host, module->name, [&] { module->check_loaded(); },
      [&](const CurrentRun& run) {
        const SpanTimer span_timer(host.on_span, SpanKind::Create, module->name, run.id());
        const auto begun = host.observers.begin();
        py::object dict = convert_for_module(module->name, [&] {
          const SpanTimer converting(host.on_span, SpanKind::Convert, module->name, run.id());
          return to_dict(host.conversions, state);
        });
        py::object object = call_create(run, *module, dict);
        auto created = std::allocate_shared<InstanceData>(RecyclingAllocator<InstanceData>(), module,
                                                          std::move(object), std::move(dict));
        open_instance(run, created);
        host.observers.notify_end(EventKind::Created, module->name, run, begun, !run.is_part());
        return created;
      },
      [] {});
}

// A run is the last part of a whole, so the end of the whole is notified here. An object that is closed with
// the run is closed before that, as at the end of a with statement.
template <class As, class Finish>
typename As::Result run_instance(InstanceData& instance, const As& how, const RunOptions& options,
                                 bool closes, Finish finish) {
  const ModuleData& module = *instance.module;
  HostState& host = *module.host;
  return as_run(
      host, module.name, [&] { instance.check_open(); },
      [&](const CurrentRun& run) {
        const BorrowedSignals borrowed_signals(run);
        const SpanTimer span_timer(host.on_span, SpanKind::Run, module.name, run.id());
        const auto begun = host.observers.begin();
        run.set_scheduled(options.scheduled.get());
        apply_limits(options, run);
        host.observers.notify(EventKind::RunStarted, module.name, run.id(), begun);
        const CloseOnFailure closing(run, closes ? &instance : nullptr);
        const py::object returned = result_of_run(run, instance);
        auto result = convert_result(host, module.name, run.id(), returned.ptr(), how);
        if (closes) close_instance(instance, &run);
        host.observers.notify_end(EventKind::RunEnded, module.name, run, begun, true);
        return result;
      },
      finish);
}

}  // namespace

}  // namespace detail

const std::string& Module::name() const noexcept {
  static const std::string none;  // of a handle that was moved from
  return data_ ? data_->name : none;
}

Instance Module::create(const State& state) const { return Instance(detail::create_instance(data_, state)); }

template <class As>
typename As::Result Instance::run_as(const As& how, const RunOptions& options) const {
  return detail::run_instance(detail::require_handle(data_), how, options, false, [] {});
}

// If no other handle shares the object, it is released while the GIL is held anyway.
template <class As>
typename As::Result Instance::run_last(const As& how, const RunOptions& options) {
  const std::shared_ptr<detail::InstanceData> mine = std::move(data_);
  detail::InstanceData& instance = detail::require_handle(mine);
  const bool closes = mine.use_count() == 1;
  return detail::run_instance(instance, how, options, closes, [&] {
    if (closes && instance.closing == detail::Closing::Nothing)
      instance.object = instance.state = detail::py::object();
  });
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
