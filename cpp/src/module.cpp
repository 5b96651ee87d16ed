// Module and Instance: create and run.
#include "pyhost/module.hpp"

#include <functional>

#include "buffers.hpp"
#include "contract.hpp"
#include "convert.hpp"
#include "current_run.hpp"
#include "handle_data.hpp"
#include "output.hpp"
#include "pyhost/error.hpp"
#include "watchers.hpp"

namespace pyhost {

namespace detail {

namespace {

py::object interned(const std::string& name) {
  return must(PyUnicode_InternFromString(name.c_str()), "making a str");
}

}  // namespace

ModuleData::ModuleData(std::shared_ptr<HostLife> life, std::string module_name, py::object imported,
                       py::object factory)
    : host(std::move(life)),
      name(std::move(module_name)),
      module(std::move(imported)),
      create(std::move(factory)),
      full_name(interned("modules." + name)),
      create_name(interned("create")),
      run_name(interned("run")) {}

bool ModuleData::is_current() const {
  const bool current = PyDict_GetItemWithError(PyImport_GetModuleDict(), full_name.ptr()) == module.ptr() &&
                       own(PyObject_GetAttr(module.ptr(), create_name.ptr())).is(create);
  PyErr_Clear();
  return current;
}

InstanceData::InstanceData(std::shared_ptr<ModuleData> of, py::object created)
    : module(std::move(of)), object(std::move(created)) {}

namespace {

// What the room of conversion refuses, said of the module that it was for.
template <class Conversion>
auto convert_for(const std::string& module, Conversion convert) {
  try {
    return convert();
  } catch (const Error& error) {
    throw Error({.kind = error.kind(),
                 .phase = error.phase(),
                 .module = module,
                 .message = "module '" + module + "': " + error.message(),
                 .pointer = error.pointer(),
                 .hint = error.hint(),
                 .place = error.place(),
                 .exception = error.exception()});
  }
}

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
py::object create_object(const ModuleData& module, const State& state) {
  const py::object dict = convert_for(module.name, [&] { return to_dict(module.host->conversions, state); });
  py::object object = with_output_flushed(PyObject_CallOneArg(module.create.ptr(), dict.ptr()));
  if (!object) throw_from_create(module);
  return object;
}

template <class State>
std::shared_ptr<InstanceData> create_instance(const std::shared_ptr<ModuleData>& module, const State& state) {
  const Enter enter;
  const HostLife& host = *module->host;
  host.must_be_open(module->name);
  const CurrentRun run(module->name);
  const auto begun = host.watchers.begin();
  return telling_failure(host.watchers, module->name, [&] {
    auto created = std::make_shared<InstanceData>(module, create_object(*module, state));
    if (!run.is_part()) host.watchers.tell({Moment::Ending, module->name, run.id(), begun});
    host.watchers.tell({Moment::Created, module->name, run.id(), begun});
    return created;
  });
}

template <class Convert>
auto call_run(const InstanceData& instance, Convert convert) {
  const ModuleData& module = *instance.module;
  // Looked up at each call, as Python itself would: a `run` that is put on an instance later is found.
  const py::object result =
      with_output_flushed(PyObject_CallMethodNoArgs(instance.object.ptr(), module.run_name.ptr()));
  if (!result) throw_from_run(instance);
  return convert_for(module.name,
                     [&] { return std::invoke(convert, module.host->conversions, result.ptr()); });
}

// The caller holds the GIL. A run is the last part of a whole, so its end is the whole's.
template <class Convert>
auto run_inside(const InstanceData& instance, Convert convert) {
  const ModuleData& module = *instance.module;
  const HostLife& host = *module.host;
  host.must_be_open(module.name);
  const CurrentRun run(module.name);
  const auto begun = host.watchers.begin();
  return telling_failure(host.watchers, module.name, [&] {
    host.watchers.tell({Moment::RunStarted, module.name, run.id(), begun});
    auto result = call_run(instance, convert);
    host.watchers.tell({Moment::Ending, module.name, run.id(), begun});
    host.watchers.tell({Moment::RunEnded, module.name, run.id(), begun});
    return result;
  });
}

template <class Convert>
auto run_instance(const InstanceData& data, Convert convert) {
  const Enter enter;
  return run_inside(data, convert);
}

// If no other handle shares the object, it goes while the GIL is held anyway.
template <class Convert>
auto run_temporary(std::shared_ptr<InstanceData>&& data, Convert convert) {
  const Enter enter;
  const std::shared_ptr<InstanceData> mine = std::move(data);
  auto result = run_inside(*mine, convert);
  if (mine.use_count() == 1) mine->object = py::object();
  return result;
}

}  // namespace

}  // namespace detail

const std::string& Module::name() const noexcept { return data_->name; }

Instance Module::create(const Json& state) const {
  return Instance(detail::telling(*data_->host, [&] { return detail::create_instance(data_, state); }));
}

Instance Module::create_from_text(std::string_view state) const {
  return Instance(detail::telling(*data_->host, [&] { return detail::create_instance(data_, state); }));
}

Instance Module::create(const Json& state, const Buffers& buffers) const {
  return Instance(detail::telling(*data_->host, [&] {
    return detail::create_instance(data_, detail::WithBuffers<Json>{state, buffers});
  }));
}

Instance Module::create_from_text(std::string_view state, const Buffers& buffers) const {
  return Instance(detail::telling(*data_->host, [&] {
    return detail::create_instance(data_, detail::WithBuffers<std::string_view>{state, buffers});
  }));
}

Json Instance::run() const& {
  return detail::telling(*data_->module->host,
                         [&] { return detail::run_instance(*data_, &detail::Conversions::to_json); });
}

Json Instance::run() && {
  const std::shared_ptr<detail::HostLife> host = data_->module->host;
  return detail::telling(
      *host, [&] { return detail::run_temporary(std::move(data_), &detail::Conversions::to_json); });
}

std::string Instance::run_text() const& {
  return detail::telling(*data_->module->host,
                         [&] { return detail::run_instance(*data_, &detail::Conversions::to_text); });
}

std::string Instance::run_text() && {
  const std::shared_ptr<detail::HostLife> host = data_->module->host;
  return detail::telling(
      *host, [&] { return detail::run_temporary(std::move(data_), &detail::Conversions::to_text); });
}

Buffer Instance::run_buffer() const {
  const auto convert = [](detail::Conversions&, PyObject* result) { return detail::buffer_from(result); };
  return detail::telling(*data_->module->host, [&] { return detail::run_instance(*data_, convert); });
}

}  // namespace pyhost
