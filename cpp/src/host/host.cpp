// Host: opens the interpreter for modules, one host at a time.
#include "pyhost/host.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

#include "error/module_name.hpp"
#include "error/secrets.hpp"
#include "host/host_internals.hpp"
#include "host/shutdown_hooks.hpp"
#include "host/survey.hpp"
#include "interpreter/interpreter.hpp"
#include "interpreter/interpreter_snapshot.hpp"
#include "interpreter/modules_package.hpp"
#include "interpreter/output.hpp"
#include "pyhost/error.hpp"
#include "python/cpp_exception.hpp"
#include "python/gil.hpp"
#include "python/hint.hpp"
#include "run/cancellation.hpp"
#include "run/contract.hpp"
#include "run/current_run.hpp"
#include "run/events.hpp"
#include "run/handle_data.hpp"
#include "run/life_cycle.hpp"
#include "run/module_code.hpp"
#include "run/observers.hpp"
#include "run/wakeup_signal.hpp"
#include "services/connections.hpp"
#include "services/logging.hpp"
#include "services/services.hpp"

namespace pyhost {

namespace {

using detail::CurrentRun;
using detail::GilAcquire;
using detail::Moment;
using detail::steal;
namespace py = detail::py;

std::atomic<bool> a_host_is_open = false;

// Held for as long as a host is open; also given back if opening fails half-way.
class OnlyHost {
 public:
  OnlyHost() {
    if (a_host_is_open.exchange(true)) {
      throw Error({.kind = ErrorKind::StartupFailed,
                   .phase = Phase::Start,
                   .message = "a host is open already, and a process has one at a time",
                   .hint = "use the open one from every thread, or close it first"});
    }
  }
  ~OnlyHost() { a_host_is_open = false; }
  OnlyHost(const OnlyHost&) = delete;
  OnlyHost& operator=(const OnlyHost&) = delete;
};

// What was loaded, by name; in a map of its own, because to import again what is imported takes longer than
// to run it. The lock is held for no call into Python.
class Loaded {
 public:
  std::shared_ptr<detail::ModuleData> find(std::string_view name) const {
    const std::lock_guard lock(mutex_);
    const auto at = modules_.find(name);
    return at == modules_.end() ? nullptr : at->second;
  }

  // Whether this very object was loaded, if perhaps by another name's handle or with another create.
  bool has(PyObject* object) const {
    const std::lock_guard lock(mutex_);
    return std::ranges::any_of(in_order_, [&](const auto& module) { return module->module.ptr() == object; });
  }

  void put(const std::shared_ptr<detail::ModuleData>& module) {
    std::shared_ptr<detail::ModuleData> displaced = module;  // given up after the lock
    const std::lock_guard lock(mutex_);
    modules_[module->name].swap(displaced);
    const auto same =
        std::ranges::find_if(in_order_, [&](const auto& other) { return other->module.is(module->module); });
    if (same != in_order_.end()) {
      if (*same != module) module->before = std::exchange(*same, module);
    } else {
      in_order_.push_back(module);
    }
  }

  // Whether it was still there.
  bool take(const std::shared_ptr<detail::ModuleData>& module) {
    const std::lock_guard lock(mutex_);
    const auto at = modules_.find(module->name);
    if (at == modules_.end() || at->second != module) return false;
    modules_.erase(at);
    std::erase(in_order_, module);
    return true;
  }

  // The names of those within a package, the last loaded first.
  std::vector<std::string> within(std::string_view package) const {
    const std::string prefix = std::string(package) + ".";
    std::vector<std::string> names;
    const std::lock_guard lock(mutex_);
    for (auto at = in_order_.rbegin(); at != in_order_.rend(); ++at) {
      if ((*at)->name.starts_with(prefix)) names.push_back((*at)->name);
    }
    return names;
  }

  // The one that was loaded last; null if there is none.
  std::shared_ptr<detail::ModuleData> take_last() {
    const std::lock_guard lock(mutex_);
    if (in_order_.empty()) return nullptr;
    std::shared_ptr<detail::ModuleData> module = std::move(in_order_.back());
    in_order_.pop_back();
    std::erase_if(modules_, [&](const auto& entry) { return entry.second == module; });
    return module;
  }

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  using Modules = std::unordered_map<std::string, std::shared_ptr<detail::ModuleData>, Hash, std::equal_to<>>;
  mutable std::mutex mutex_;
  Modules modules_;
  std::vector<std::shared_ptr<detail::ModuleData>> in_order_;  // also those that were displaced
};

// The modules that a thread is loading or unloading: the others wait until it is done. The caller
// holds the GIL, which is let go while it waits.
class Changes {
 public:
  enum class Kind { Load, Unload };
  enum class Begun { Own, Within, WithinUnload };

  // Begins a change if no other thread makes one; returns after a moment if one still does. For what an
  // on_load or on_unload itself asks of its module there is nothing to begin, nor for a thread that another
  // one waits for: each of the two would wait for ever.
  std::optional<Begun> begin(PyObject* module, Kind kind) {
    const detail::GilRelease leave;
    const std::thread::id here = std::this_thread::get_id();
    std::unique_lock lock(mutex_);
    const auto other = changes_.find(module);
    if (other != changes_.end()) {
      if (waits_for(other->second.thread, here))
        return other->second.kind == Kind::Unload ? Begun::WithinUnload : Begun::Within;
      constexpr std::chrono::milliseconds slice(50);  // for a stop that waits to be seen
      waiting_[here] = module;
      const bool over = ended_.wait_for(lock, slice, [&] { return !changes_.contains(module); });
      waiting_.erase(here);
      if (!over) return std::nullopt;
    }
    changes_.emplace(module, Change{kind, here});
    return Begun::Own;
  }

  // Ends a change that has begun.
  class End {
   public:
    End(Changes& changes, PyObject* module) : changes_(changes), module_(module) {}
    ~End() {
      const std::lock_guard lock(changes_.mutex_);
      changes_.changes_.erase(module_);
      changes_.ended_.notify_all();
    }
    End(const End&) = delete;
    End& operator=(const End&) = delete;

   private:
    Changes& changes_;
    PyObject* module_;
  };

 private:
  struct Change {
    Kind kind;
    std::thread::id thread;
  };

  // Whether this thread is that one, or waits for it.
  bool waits_for(std::thread::id thread, std::thread::id that) const {
    while (thread != that) {
      const auto wanted = waiting_.find(thread);
      if (wanted == waiting_.end()) return false;
      const auto change = changes_.find(wanted->second);
      if (change == changes_.end()) return false;
      thread = change->second.thread;
    }
    return true;
  }

  std::mutex mutex_;
  std::condition_variable ended_;
  std::map<PyObject*, Change> changes_;
  std::map<std::thread::id, PyObject*> waiting_;
};

}  // namespace

struct Host::Data {
  std::optional<OnlyHost> only = {};  // none in the other interpreters of a pool
  Options options = {};
  detail::ModulePaths paths = {};
  std::shared_ptr<detail::HostState> host_state = std::make_shared<detail::HostState>();
  std::shared_ptr<detail::Services> services = {};  // these three are shared with those
  std::shared_ptr<detail::OutputSink> sink = {};
  std::shared_ptr<detail::Logging> logging = {};
  std::unique_ptr<detail::ModulesPackage> modules = {};
  Loaded loaded = {};
  Changes changes = {};
  std::unique_ptr<detail::Redirection> redirection = {};
  py::object log_taking = {};  // of this interpreter
  Environment environment = {};
  std::shared_ptr<detail::ShutdownHooks> shutdown_hooks = std::make_shared<detail::ShutdownHooks>();

  // For rooms that convert by what the modules convert by, and may outlive the host.
  std::shared_ptr<detail::Conversions> conversions() const { return {host_state, &host_state->conversions}; }

  void enter_python();
  void leave_python();
  void run_shutdown_hooks();
  std::shared_ptr<detail::ModuleData> import(const std::string& name, const CurrentRun& run);
  bool load(const CurrentRun& run, const std::shared_ptr<detail::ModuleData>& module);
  bool unload(std::string_view name);
};

Host::Host(Options given) : data_(std::make_unique<Data>()) {
  data_->only.emplace();
  given.shutdown_timeout = detail::clamp_wait(given.shutdown_timeout);
  const Options& options = data_->options = std::move(given);
  data_->paths = detail::find_module_paths(options.module_paths);
  detail::check_store(options.store);
  data_->environment = detail::start_interpreter(options, data_->paths);
  data_->services = std::make_shared<detail::Services>();
  data_->sink = detail::make_sink(options.on_output);
  detail::clear_secrets();  // of the host before
  if (options.on_log) data_->logging = std::make_shared<detail::Logging>(options);
  const GilAcquire gil;
  data_->enter_python();
  detail::enable_wakeup_signal();  // also for runs that nobody gives a time, but that somebody may cancel
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

// All that belongs to an interpreter.
void Host::Data::enter_python() {
  host_state->interpreter = PyInterpreterState_Get();
  host_state->on_error = options.on_error;
  host_state->shutdown_timeout = options.shutdown_timeout;
  host_state->on_stuck = options.on_stuck;
  host_state->on_span = options.on_span;
  if (options.on_event) detail::forward_events(host_state->observers, options.on_event);
  detail::prepare_cancellation();
  detail::Services::add_to_python(services, conversions());
  detail::take_interpreter_snapshot();
  detail::register_connections(options, host_state->observers, conversions());
  modules = std::make_unique<detail::ModulesPackage>(paths);
  // The streams of another interpreter would be flushed for it by nobody.
  if (options.on_output || !only) redirection = std::make_unique<detail::Redirection>(sink);
  if (logging) log_taking = logging->enter_python(conversions());
}

void Host::Data::run_shutdown_hooks() {
  detail::wait_without_gil([this] { shutdown_hooks->run_all(); });
}

Host::~Host() {
  try {
    data_->run_shutdown_hooks();
    const GilAcquire gil;
    data_->leave_python();
  } catch (const Error&) {
    // The process is ending: what could be flushed was flushed by then.
    data_->host_state->open = false;
    static_cast<void>(data_->modules.release());
    static_cast<void>(data_->redirection.release());
    static_cast<void>(data_->log_taking.release());
  }
  // As long as all is here that on_log may use, even if it is told that the host is closed.
  if (data_->only && data_->logging) data_->logging->close();
}

void Host::Data::leave_python() {
  host_state->closing = true;
  while (const auto module = loaded.take_last()) detail::unload_module(*module);
  detail::cancel_leftover_tasks(*host_state);
  redirection.reset();  // which may call the application back for the last time
  if (only) detail::close_sink(*sink);
  host_state->open = false;
  detail::close_connections();
  if (only) services->close();  // waits for who is in one
  host_state->conversions.clear();
  modules->remove();
  if (log_taking) detail::Logging::leave_python(std::exchange(log_taking, {}));
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

// "did you mean 'pricing'?" or the like; empty if nothing is close.
std::string close_names_hint(const std::string& name, const detail::ModulePaths& paths) {
  std::string hint;
  for (const std::string& close : detail::close_names(name, detail::list_names(paths, name))) {
    hint += (hint.empty() ? "did you mean '" : " or '") + close + "'";
  }
  if (!hint.empty()) return hint + "?";
  return name.ends_with(".py") ? "give the module's name without .py" : "";
}

[[noreturn]] void throw_not_found(const std::string& name, const detail::ModulePaths& paths) {
  std::string looked;
  for (const std::filesystem::path& path : paths) {
    looked += (looked.empty() ? "" : ", ") + (path / "modules").string();
  }
  throw Error({.kind = ErrorKind::ModuleNotFound,
               .phase = Phase::Find,
               .module = name,
               .message = "no module " + detail::quoted_name(name) + "; " +
                          (looked.empty() ? "there is no module path to look in" : "looked in " + looked),
               .hint = close_names_hint(name, paths)});
}

// The module that `import modules.x` or `from modules import x` did not find; empty for other errors.
std::string missing_module(const PythonException& raised) {
  constexpr std::string_view package = "modules.";
  constexpr std::string_view from_package = "cannot import name '";
  if (raised.type == "ModuleNotFoundError" && raised.import_name.starts_with(package)) {
    return raised.import_name.substr(package.size());
  }
  if (raised.type != "ImportError" || raised.import_name != "modules") return {};
  if (!raised.message.starts_with(from_package)) return {};
  const std::string rest = raised.message.substr(from_package.size());
  return rest.substr(0, rest.find('\''));
}

// Not found and broken look alike: a ModuleNotFoundError means that the module itself is missing only if
// it names the module or one of its parents, and nothing but the import machinery had run by then.
[[noreturn]] void throw_not_imported(const std::string& name, const detail::ModulePaths& paths) {
  const py::object taken = detail::take_raised();
  PythonException raised = detail::describe(taken.ptr());
  const std::string& missing = raised.import_name;
  const bool not_found = raised.type == "ModuleNotFoundError" && !missing.empty();
  const bool ours = not_found && ("modules." + name + ".").starts_with(missing + ".");
  const auto is_machinery = [](const Frame& frame) { return origin_of(frame) == Origin::Machinery; };
  if (ours && std::ranges::all_of(raised.frames, is_machinery)) throw_not_found(name, paths);

  const std::string another = missing_module(raised);
  const std::string hint = another.empty() ? detail::hint_for(raised) : close_names_hint(another, paths);
  detail::throw_with_cpp_exception(
      detail::cpp_exception_of(taken.ptr()),
      Error({.kind = ErrorKind::ImportFailed,
             .phase = Phase::Import,
             .module = name,
             .message = "module '" + name + "' could not be imported: " + detail::one_line(raised),
             .hint = hint,
             .exception = std::move(raised)}));
}

}  // namespace

Module Host::load(std::string_view name) {
  return detail::report_errors(*data_->host_state, [&] {
    std::shared_ptr<detail::ModuleData> loaded = data_->loaded.find(name);
    if (!loaded) detail::check_module_name(name);
    const GilAcquire gil;
    data_->host_state->check_interpreter(name);
    if (loaded && loaded->is_current() && data_->modules->is_intact()) return Module(std::move(loaded));
    const CurrentRun run(name);
    return Module(detail::notify_failure_of(data_->host_state->observers, name,
                                            [&] { return data_->import(std::string(name), run); }));
  });
}

namespace {

// The parents of a name within packages would be imported if Python were asked.
bool is_found(const detail::ModulesPackage& modules, const detail::ModulePaths& paths,
              const std::string& name) {
  if (name.find('.') == std::string::npos) return modules.finds(name);
  const std::vector<std::string> names = detail::list_names(paths, name);
  return std::ranges::find(names, name) != names.end();
}

[[noreturn]] void throw_being_unloaded(const std::string& name) {
  throw Error({.kind = ErrorKind::HostClosed,
               .phase = Phase::Close,
               .module = name,
               .message = "module '" + name + "' is being unloaded, and asks for itself",
               .hint = "what on_unload needs of its own module it can call directly"});
}

}  // namespace

std::shared_ptr<detail::ModuleData> Host::Data::import(const std::string& name, const CurrentRun& run) {
  host_state->check_not_closing(name);
  const detail::SpanTimer span_timer(host_state->on_span, SpanKind::Import, name, run.id());
  const auto begun = host_state->observers.begin();
  if (!modules->has(name)) {
    detail::restore_interpreter_snapshot();
    detail::refuse_ambiguous(paths, name);
  }
  modules->restore();
  if (!host_state->observers.empty() && is_found(*modules, paths, name))
    host_state->observers.notify(Moment::Found, name, run.id(), begun);
  for (;;) {
    const py::object module = detail::with_output_flushed(
        detail::call_module_code(run, [&] { return modules->import(name).release().ptr(); }).release().ptr());
    detail::throw_if_cancelled(run, Phase::Import);
    if (!module) throw_not_imported(name, paths);
    const std::shared_ptr<detail::ModuleData> read = detail::read_module(host_state, name, module);
    if (!load(run, read)) continue;
    host_state->observers.notify_end(Moment::Imported, name, run, begun, !run.is_part());
    return read;
  }
}

// The first thread that has imported the module calls its on_load, and the others wait for that. False if the
// module is gone by then: its on_load raised, or it was unloaded.
bool Host::Data::load(const CurrentRun& run, const std::shared_ptr<detail::ModuleData>& module) {
  PyObject* const object = module->module.ptr();
  std::optional<Changes::Begun> begun;
  while (!(begun = changes.begin(object, Changes::Kind::Load)))
    detail::throw_if_cancelled(run, Phase::Import);
  if (begun == Changes::Begun::WithinUnload) throw_being_unloaded(module->name);
  if (begun == Changes::Begun::Within) {
    if (loaded.has(object)) loaded.put(module);
    return true;
  }
  const Changes::End end(changes, object);
  if (!module->is_in_sys_modules()) return false;
  if (loaded.has(object)) {
    loaded.put(module);  // perhaps with another create
    return true;
  }
  try {
    detail::call_on_load(run, *module);
  } catch (const Error&) {
    modules->forget(module->name);
    throw;
  }
  loaded.put(module);
  return true;
}

bool Host::unload(std::string_view name) {
  const GilAcquire gil;
  data_->host_state->check_interpreter(name);
  return data_->unload(name);
}

bool Host::Data::unload(std::string_view name) {
  while (const std::shared_ptr<detail::ModuleData> module = loaded.find(name)) {
    PyObject* const object = module->module.ptr();
    std::optional<Changes::Begun> begun;
    while (!(begun = changes.begin(object, Changes::Kind::Unload))) continue;
    std::optional<Changes::End> end;
    if (begun == Changes::Begun::Own) end.emplace(changes, object);
    if (!loaded.take(module)) continue;  // another thread has unloaded it, or loaded it with another create
    for (const std::string& inner : loaded.within(name)) unload(inner);
    detail::unload_module(*module);
    modules->forget(module->name);
    return true;
  }
  return false;
}

namespace {

// The GIL and one run around all: those within cost next to nothing.
template <class Action>
auto as_one_run(const detail::HostState& host, std::string_view name, const RunOptions* options,
                Action action) {
  const GilAcquire gil;
  const CurrentRun whole(name, CurrentRun::Extent::Whole, gil.thread_state());
  if (options != nullptr) {
    detail::report_errors(host, [&] {
      detail::notify_failure_of(host.observers, name, [&] { detail::apply_limits(options, whole); });
    });
  }
  return action();
}

}  // namespace

Json Host::run_json(std::string_view name, const Json& state, const RunOptions* options) {
  return as_one_run(*data_->host_state, name, options, [&] { return load(name).create(state).run(); });
}

Json Host::run_json_from_text(std::string_view name, std::string_view state, const RunOptions* options) {
  return as_one_run(*data_->host_state, name, options, [&] { return load(name).create(state).run(); });
}

std::string Host::run_into_text(std::string_view name, const Json& state, const RunOptions* options) {
  return as_one_run(*data_->host_state, name, options, [&] { return load(name).create(state).run_text(); });
}

std::string Host::run_text_from_text(std::string_view name, std::string_view state,
                                     const RunOptions* options) {
  return as_one_run(*data_->host_state, name, options, [&] { return load(name).create(state).run_text(); });
}

Stream Host::stream(std::string_view name, const Json& state, const RunOptions& options) {
  return as_one_run(*data_->host_state, name, &options,
                    [&] { return load(name).create(state).stream(options); });
}

Stream Host::stream_from_text(std::string_view name, std::string_view state, const RunOptions& options) {
  return as_one_run(*data_->host_state, name, &options,
                    [&] { return load(name).create(state).stream(options); });
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
  if (!surveyed.missing.empty()) throw_not_found(surveyed.missing.front(), data_->paths);
  return std::move(surveyed.survey);
}

void Host::provide(std::string_view name, Service service, std::string doc) {
  data_->services->provide(name, std::move(service), std::move(doc));
}

bool Host::withdraw(std::string_view name) { return data_->services->withdraw(name); }

std::string Host::stubs() const { return data_->services->stubs(); }

bool Host::flush_logs(std::chrono::milliseconds patience) {
  return !data_->logging || data_->logging->flush(patience);
}

std::uint64_t Host::dropped_logs() const { return data_->logging ? data_->logging->dropped() : 0; }

std::filesystem::path Host::python_modules() { return detail::python_modules(); }

}  // namespace pyhost
