// Host: opens and closes the interpreter for modules, and runs them.
#include "pyhost/host.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "error/module_name.hpp"
#include "error/secrets.hpp"
#include "host/host_data.hpp"
#include "host/host_internals.hpp"
#include "host/import_errors.hpp"
#include "host/survey.hpp"
#include "interpreter/installation.hpp"
#include "interpreter/interpreter.hpp"
#include "interpreter/interpreter_snapshot.hpp"
#include "interpreter/interrupts.hpp"
#include "interpreter/output.hpp"
#include "interpreter/shutdown.hpp"
#include "pyhost/error.hpp"
#include "python/gil.hpp"
#include "run/borrowed_signals.hpp"
#include "run/cancellation.hpp"
#include "run/current_run.hpp"
#include "run/events.hpp"
#include "run/handle_data.hpp"
#include "run/life_cycle.hpp"
#include "run/observers.hpp"
#include "run/wakeup_signal.hpp"
#include "run/whole_run.hpp"
#include "services/connections.hpp"
#include "services/python_services.hpp"

namespace pyhost {

using detail::CurrentRun;
using detail::GilAcquire;

Host::Host(Options given) : data_(std::make_unique<Data>()) {
  data_->single_host.emplace();
  given.shutdown_timeout = detail::clamp_wait(given.shutdown_timeout);
  const Options& options = data_->options = std::move(given);
  detail::use_python_modules(options.python.python_modules);
  data_->paths = detail::find_module_paths(options.module_paths);
  detail::check_store(options.store);
  // Modules may change the current folder, and workers that start later need these paths.
  for (std::filesystem::path* path : {&data_->options.store, &data_->options.python.home}) {
    if (!path->empty()) *path = std::filesystem::absolute(*path);
  }
  data_->environment = detail::start_interpreter(options, data_->paths);
  const GilAcquire gil;
  data_->open_host_note.emplace();
  data_->services = std::make_shared<detail::Services>();
  data_->sink = detail::make_sink(options.callbacks.on_output);
  detail::clear_secrets();  // of an earlier host
  if (options.logging.on_log) data_->logging = std::make_shared<detail::Logging>(options);
  data_->enter_python();
  detail::enable_wakeup_signal();  // even if no run has a timeout, because runs may be cancelled
  detail::set_before_shutdown([data = data_.get()] { data->close_with_process(); });
}

Host::Host(const Data& outer) : data_(std::make_unique<Data>()) {
  data_->options = outer.options;
  data_->paths = outer.paths;
  data_->environment = outer.environment;
  data_->services = outer.services;
  data_->sink = outer.sink;
  data_->logging = outer.logging;
  const GilAcquire gil;
  data_->enter_python();
}

std::unique_ptr<Host> Host::in_this_interpreter() const { return std::unique_ptr<Host>(new Host(*data_)); }

void Host::Data::enter_python() {
  host_state->open_in = host_state->interpreter = PyInterpreterState_Get();
  host_state->on_error = options.callbacks.on_error;
  host_state->shutdown_timeout = options.shutdown_timeout;
  host_state->on_stuck = options.callbacks.on_stuck;
  host_state->on_span = options.callbacks.on_span;
  if (options.callbacks.on_event) detail::forward_events(host_state->observers, options.callbacks.on_event);
  detail::watch_signal_handlers();
  detail::prepare_cancellation();
  detail::add_services_to_python(services, conversions());
  detail::take_interpreter_snapshot();
  detail::register_connections(options, host_state->observers, conversions());
  host_state->observed = !host_state->observers.empty() || host_state->on_span;
  modules = std::make_unique<detail::ModulesPackage>(paths);
  // In another interpreter, the redirection is also needed without on_output: nothing else flushes its
  // standard streams.
  if (options.callbacks.on_output || !single_host) redirection = std::make_unique<detail::Redirection>(sink);
  if (logging) log_handler = logging->enter_python(conversions());
}

void Host::Data::run_shutdown_hooks() {
  detail::wait_without_gil([this] { shutdown_hooks->run_all(); });
}

Host::~Host() {
  if (data_->single_host) detail::set_before_shutdown(nullptr);
  data_->close();
}

void Host::Data::close() {
  if (std::exchange(closed_, true)) return;
  try {
    run_shutdown_hooks();
    const GilAcquire gil;
    leave_python();
  } catch (const Error&) {
    // The process is ending, and has already flushed its streams.
    host_state->open_in = nullptr;
    static_cast<void>(modules.release());
    static_cast<void>(redirection.release());
    static_cast<void>(log_handler.release());
  }
  // Waits for the last calls of on_log, while the objects that it may use still exist.
  if (single_host && logging) logging->close();
  if (single_host) detail::move_shutdown_to_front();
}

void Host::Data::close_with_process() {
  {
    const GilAcquire gil;
    if (!CurrentRun::outermost().empty()) return;
  }
  close();
}

void Host::Data::leave_python() {
  host_state->closing = true;
  while (const auto module = loaded.take_last()) detail::unload_module(*module);
  detail::cancel_leftover_tasks(*host_state);
  redirection.reset();  // may call on_output for the last time
  if (single_host) detail::close_sink(*sink);
  host_state->open_in = nullptr;
  detail::close_connections();
  if (single_host) services->close();  // waits for the calls in flight
  host_state->conversions.clear();
  modules->remove();
  if (log_handler) detail::Logging::leave_python(std::exchange(log_handler, {}));
  detail::give_signals_back();  // also signal handlers that a module has set while it was loaded
  detail::flush_output();
}

detail::HostInternals Host::internals() const {
  return {data_->options,   data_->paths, data_->environment,  *data_->host_state,
          *data_->services, *data_->sink, data_->logging.get()};
}

const Options& Host::options() const noexcept { return data_->options; }

const std::shared_ptr<detail::ShutdownHooks>& Host::shutdown_hooks() const noexcept {
  return data_->shutdown_hooks;
}

const Environment& Host::environment() const noexcept { return data_->environment; }

bool Host::interrupted() const noexcept { return detail::was_interrupted(); }

namespace {

// Calls `action` as one run. The caller holds the GIL.
template <class Action>
auto as_one_run(const detail::HostState& host, std::string_view name, const RunOptions& options,
                const CurrentRun& whole, Action action) {
  const detail::BorrowedSignals borrowed_signals(whole);
  if (&options != &detail::no_options) {
    whole.set_scheduled(options.scheduled.get());
    if (detail::has_limits(options)) {
      detail::report_errors(host, [&] {
        detail::notify_failure_of(host.observers, name, [&] { detail::apply_limits(options, whole); });
      });
    }
  }
  return action();
}

}  // namespace

template <class As>
typename As::Result Host::run_as(const As& how, std::string_view name, const State& state,
                                 const RunOptions& options) {
  Data& data = *data_;
  const detail::HostState& host = *data.host_state;
  const GilAcquire gil;
  CurrentRun::Thread& thread = CurrentRun::this_thread();
  if (!host.observed && host.is_this_interpreter(thread)) [[likely]] {
    auto module = data.loaded.find(name);
    if (module && data.is_current(*module)) {
      const CurrentRun run(name, CurrentRun::Extent::Call, gil.thread_state(), thread);
      return as_one_run(host, name, options, run,
                        [&] { return detail::create_and_run(run, std::move(module), state, how); });
    }
  }
  const CurrentRun whole(name, CurrentRun::Extent::Whole, gil.thread_state(), thread);
  return as_one_run(host, name, options, whole,
                    [&] { return load(name).create(state).run_last(how, detail::no_options); });
}

template Json Host::run_as(const detail::AsJson&, std::string_view, const State&, const RunOptions&);
template std::string Host::run_as(const detail::AsText&, std::string_view, const State&, const RunOptions&);
template std::string Host::run_as(const detail::AsJsonText&, std::string_view, const State&,
                                  const RunOptions&);
template Buffer Host::run_as(const detail::AsBuffer&, std::string_view, const State&, const RunOptions&);
template std::monostate Host::run_as(const detail::AsTyped&, std::string_view, const State&,
                                     const RunOptions&);

detail::AnyStream Host::open_stream(std::string_view name, const State& state, const RunOptions& options) {
  const GilAcquire gil;
  const CurrentRun whole(name, CurrentRun::Extent::Whole, gil.thread_state());
  return as_one_run(*data_->host_state, name, options, whole,
                    [&] { return load(name).create(state).open_stream(options); });
}

bool Host::cancel(RunId run) {
  const GilAcquire gil;
  const CurrentRun* found = CurrentRun::find(run);
  if (found == nullptr) return false;
  detail::Cancellation::of(*found)->request(ErrorKind::Cancelled);
  return true;
}

std::size_t Host::cancel_all() {
  const GilAcquire gil;
  const std::vector<const CurrentRun*> runs = CurrentRun::outermost();
  for (const CurrentRun* run : runs) detail::Cancellation::of(*run)->request(ErrorKind::Cancelled);
  return runs.size();
}

Survey Host::survey(const std::vector<std::string>& names, Look look) {
  for (const std::string& name : names) detail::check_module_name(name);
  const GilAcquire gil;
  const std::string_view first = names.empty() ? std::string_view() : names.front();
  data_->host_state->check_interpreter(first);
  data_->host_state->check_not_closing(first);
  data_->modules->restore();
  detail::Surveyed surveyed = detail::survey(data_->paths, names, look);
  detail::flush_output();
  if (!surveyed.missing.empty()) detail::throw_not_found(surveyed.missing.front(), data_->paths);
  return std::move(surveyed.survey);
}

std::string Host::code_hash() {
  const GilAcquire gil;
  data_->host_state->check_interpreter({});
  data_->host_state->check_not_closing({});
  return detail::code_hash(data_->paths);
}

HostServices Host::services() const { return HostServices(data_->services); }

HostLogs Host::logs() const { return HostLogs(data_->logging); }

std::filesystem::path Host::python_modules() { return detail::python_modules(); }

}  // namespace pyhost
