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

// What a result becomes; as types of their own, so that each is called directly.
constexpr auto into_json = [](Conversions& conversions, PyObject* result) {
  return conversions.to_json(result);
};
constexpr auto into_text = [](Conversions& conversions, PyObject* result) {
  return conversions.to_text(result);
};
constexpr auto into_buffer = [](Conversions& /*none*/, PyObject* result) { return buffer_from(result); };

template <class State>
struct WithBuffers {
  const State& state;
  const Buffers& buffers;
};

template <class State>
py::object to_dict(Conversions& conversions, const State& state) {
  return conversions.to_python(state);
}

template <class State>
py::object to_dict(Conversions& conversions, const WithBuffers<State>& both) {
  py::object dict = conversions.to_python(both.state);
  put_buffers(dict.ptr(), both.buffers);
  return dict;
}

template <class State>
std::shared_ptr<InstanceData> create_instance(const std::shared_ptr<ModuleData>& module, const State& state) {
  const GilAcquire gil;
  module->check_loaded();
  HostState& host = *module->host;
  const CurrentRun run(module->name, gil.thread_state());
  const SpanTimer span_timer(host.on_span, SpanKind::Create, module->name, run.id());
  const auto begun = host.observers.begin();
  return notify_failure_of(host.observers, module->name, [&] {
    py::object dict = convert_for_module(module->name, [&] {
      const SpanTimer converting(host.on_span, SpanKind::Convert, module->name, run.id());
      return to_dict(host.conversions, state);
    });
    py::object object = call_create(run, *module, dict);
    const auto created = std::allocate_shared<InstanceData>(RecyclingAllocator<InstanceData>(), module,
                                                            std::move(object), std::move(dict));
    open_instance(run, created);
    host.observers.notify_end(Moment::Created, module->name, run, begun, !run.is_part());
    return created;
  });
}

// A run is the last part of a whole, so its end is the whole's. What it gives up is closed before that, as
// at the end of a with-statement.
template <class Convert>
auto run_inside(const GilAcquire& gil, InstanceData& instance, Convert convert, const RunOptions* options,
                bool closes) {
  instance.check_open();
  const ModuleData& module = *instance.module;
  HostState& host = *module.host;
  const CurrentRun run(module.name, gil.thread_state());
  const BorrowedSignals borrowed_signals(run);
  const SpanTimer span_timer(host.on_span, SpanKind::Run, module.name, run.id());
  const auto begun = host.observers.begin();
  return notify_failure_of(host.observers, module.name, [&] {
    apply_limits(options, run);
    host.observers.notify(Moment::RunStarted, module.name, run.id(), begun);
    const CloseOnFailure closing(run, closes ? &instance : nullptr);
    const py::object returned = result_of_run(run, instance);
    auto result = convert_for_module(module.name, [&] {
      const SpanTimer converting(host.on_span, SpanKind::Convert, module.name, run.id());
      return convert(host.conversions, returned.ptr());
    });
    if (closes) close_instance(instance, &run);
    host.observers.notify_end(Moment::RunEnded, module.name, run, begun, true);
    return result;
  });
}

template <class Convert>
auto run_instance(InstanceData& instance, Convert convert, const RunOptions* options) {
  return report_errors(*instance.module->host, [&] {
    const GilAcquire gil;
    return run_inside(gil, instance, convert, options, false);
  });
}

// If no other handle shares the object, it goes while the GIL is held anyway.
template <class Convert>
auto run_temporary(std::shared_ptr<InstanceData>&& data, Convert convert, const RunOptions* options) {
  const std::shared_ptr<InstanceData> mine = std::move(data);
  return report_errors(*require_handle(mine).module->host, [&] {
    const GilAcquire gil;
    auto result = run_inside(gil, *mine, convert, options, mine.use_count() == 1);
    if (mine.use_count() == 1) mine->object = mine->state = py::object();
    return result;
  });
}

template <class Convert>
auto state_of(const InstanceData& instance, Convert convert) {
  const GilAcquire gil;
  instance.check_open();
  try {
    return convert(instance.module->host->conversions, instance.state.ptr());
  } catch (const Error& error) {
    throw Error(
        {.kind = ErrorKind::InvalidState,
         .phase = Phase::Result,
         .module = instance.module->name,
         .message = "module '" + instance.module->name + "' left a state that is no JSON: " + error.message(),
         .pointer = error.pointer(),
         .hint = error.hint()});
  }
}

}  // namespace

}  // namespace detail

const std::string& Module::name() const noexcept {
  static const std::string none;  // of one that has been moved from
  return data_ ? data_->name : none;
}

Instance Module::create(const Json& state) const {
  return Instance(detail::report_errors(*detail::require_handle(data_).host,
                                        [&] { return detail::create_instance(data_, state); }));
}

Instance Module::create_from_text(std::string_view state) const {
  return Instance(detail::report_errors(*detail::require_handle(data_).host,
                                        [&] { return detail::create_instance(data_, state); }));
}

Instance Module::create(const Json& state, const Buffers& buffers) const {
  return Instance(detail::report_errors(*detail::require_handle(data_).host, [&] {
    return detail::create_instance(data_, detail::WithBuffers<Json>{state, buffers});
  }));
}

Instance Module::create_from_text(std::string_view state, const Buffers& buffers) const {
  return Instance(detail::report_errors(*detail::require_handle(data_).host, [&] {
    return detail::create_instance(data_, detail::WithBuffers<std::string_view>{state, buffers});
  }));
}

Json Instance::run() const& {
  return detail::run_instance(detail::require_handle(data_), detail::into_json, nullptr);
}

Json Instance::run() && { return detail::run_temporary(std::move(data_), detail::into_json, nullptr); }

Json Instance::run(const RunOptions& options) const& {
  return detail::run_instance(detail::require_handle(data_), detail::into_json, &options);
}

Json Instance::run(const RunOptions& options) && {
  return detail::run_temporary(std::move(data_), detail::into_json, &options);
}

std::string Instance::run_text() const& {
  return detail::run_instance(detail::require_handle(data_), detail::into_text, nullptr);
}

std::string Instance::run_text() && {
  return detail::run_temporary(std::move(data_), detail::into_text, nullptr);
}

std::string Instance::run_text(const RunOptions& options) const& {
  return detail::run_instance(detail::require_handle(data_), detail::into_text, &options);
}

std::string Instance::run_text(const RunOptions& options) && {
  return detail::run_temporary(std::move(data_), detail::into_text, &options);
}

Json Instance::state() const { return detail::state_of(detail::require_handle(data_), detail::into_json); }

std::string Instance::state_text() const {
  return detail::state_of(detail::require_handle(data_), detail::into_text);
}

void Instance::close() {
  detail::report_errors(*detail::require_handle(data_).module->host, [&] {
    const detail::GilAcquire gil;
    data_->check_open();
    detail::close_instance(*data_, nullptr);
  });
}

Buffer Instance::run_buffer() const {
  return detail::run_instance(detail::require_handle(data_), detail::into_buffer, nullptr);
}

Buffer Instance::run_buffer(const RunOptions& options) const {
  return detail::run_instance(detail::require_handle(data_), detail::into_buffer, &options);
}

}  // namespace pyhost
