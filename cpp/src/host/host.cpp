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

#include "interpreter/baseline.hpp"
#include "services/connections.hpp"
#include "run/contract.hpp"
#include "run/current_run.hpp"
#include "host/dependents.hpp"
#include "python/enter.hpp"
#include "run/events.hpp"
#include "run/handle_data.hpp"
#include "python/hint.hpp"
#include "interpreter/interpreter.hpp"
#include "run/life_cycle.hpp"
#include "services/logging.hpp"
#include "error/module_name.hpp"
#include "interpreter/module_path.hpp"
#include "host/offers.hpp"
#include "interpreter/output.hpp"
#include "pyhost/error.hpp"
#include "error/secrets.hpp"
#include "services/services.hpp"
#include "run/stopping.hpp"
#include "host/survey.hpp"
#include "python/thrown.hpp"
#include "run/watchers.hpp"

namespace pyhost {

namespace {

using detail::CurrentRun;
using detail::Enter;
using detail::Moment;
using detail::own;
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
    const detail::Leave leave;
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
  std::shared_ptr<detail::HostLife> life = std::make_shared<detail::HostLife>();
  std::shared_ptr<detail::Services> services = {};  // these three are shared with those
  std::shared_ptr<detail::Sink> sink = {};
  std::shared_ptr<detail::Logging> logging = {};
  std::unique_ptr<detail::Namespace> modules = {};
  Loaded loaded = {};
  Changes changes = {};
  std::unique_ptr<detail::Redirection> redirection = {};
  py::object log_taking = {};  // of this interpreter
  Environment environment = {};
  std::shared_ptr<detail::Dependents> dependents = std::make_shared<detail::Dependents>();

  // For rooms that convert by what the modules convert by, and may outlive the host.
  std::shared_ptr<detail::Conversions> conversions() const { return {life, &life->conversions}; }

  void enter_python();
  void leave_python();
  void end_dependents();
  std::shared_ptr<detail::ModuleData> import(const std::string& name, const CurrentRun& run);
  bool load(const CurrentRun& run, const std::shared_ptr<detail::ModuleData>& module);
  bool unload(std::string_view name);
};

Host::Host(Options given) : data_(std::make_unique<Data>()) {
  data_->only.emplace();
  given.shutdown_timeout = detail::waitable(given.shutdown_timeout);
  const Options& options = data_->options = std::move(given);
  data_->paths = detail::find_module_paths(options.module_paths);
  detail::check_store(options.store);
  data_->environment = detail::start_interpreter(options, data_->paths);
  data_->services = std::make_shared<detail::Services>();
  data_->sink = detail::make_sink(options.on_output);
  detail::show_secrets();  // of the host before
  if (options.on_log) data_->logging = std::make_shared<detail::Logging>(options);
  const Enter enter;
  data_->enter_python();
  detail::learn_to_wake();  // also for runs that nobody gives a time, but that somebody may cancel
}

Host::Host(const Data& outer) : data_(std::make_unique<Data>()) {
  data_->options = outer.options;
  data_->paths = outer.paths;
  data_->environment = outer.environment;
  data_->services = outer.services;
  data_->sink = outer.sink;
  data_->logging = outer.logging;
  const Enter enter;
  data_->enter_python();
}

std::unique_ptr<Host> Host::in_this_interpreter() const { return std::unique_ptr<Host>(new Host(*data_)); }

// All that belongs to an interpreter.
void Host::Data::enter_python() {
  life->interpreter = PyInterpreterState_Get();
  life->on_error = options.on_error;
  life->shutdown_timeout = options.shutdown_timeout;
  life->on_stuck = options.on_stuck;
  life->on_span = options.on_span;
  if (options.on_event) detail::tell_events(life->watchers, options.on_event);
  detail::prepare_stopping();
  detail::Services::add_to_python(services, conversions());
  detail::keep_baseline();
  detail::offer_connections(options, life->watchers, conversions());
  modules = std::make_unique<detail::Namespace>(paths);
  // The streams of another interpreter would be flushed for it by nobody.
  if (options.on_output || !only) redirection = std::make_unique<detail::Redirection>(sink);
  if (logging) log_taking = logging->enter_python(conversions());
}

void Host::Data::end_dependents() {
  detail::wait_outside([this] { dependents->end_all(); });
}

Host::~Host() {
  try {
    data_->end_dependents();
    const Enter enter;
    data_->leave_python();
  } catch (const Error&) {
    // The process is ending: what could be flushed was flushed by then.
    data_->life->open = false;
    static_cast<void>(data_->modules.release());
    static_cast<void>(data_->redirection.release());
    static_cast<void>(data_->log_taking.release());
  }
  // As long as all is here that on_log may use, even if it is told that the host is closed.
  if (data_->only && data_->logging) data_->logging->close();
}

void Host::Data::leave_python() {
  life->closing = true;
  while (const auto module = loaded.take_last()) detail::unload_module(*module);
  detail::end_tasks(*life);
  redirection.reset();  // which may call the application back for the last time
  if (only) detail::close_sink(*sink);
  life->open = false;
  detail::close_connections();
  if (only) services->close();  // waits for who is in one
  life->conversions.clear();
  modules->remove();
  if (log_taking) detail::Logging::leave_python(std::exchange(log_taking, {}));
  detail::flush_output();
}

detail::Offers Host::offers() const {
  return {data_->options,   data_->paths, data_->environment,  *data_->life,
          *data_->services, *data_->sink, data_->logging.get()};
}

const Options& Host::options() const noexcept { return data_->options; }

const std::shared_ptr<detail::Dependents>& Host::dependents() const noexcept { return data_->dependents; }

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
  detail::throw_over(
      detail::thrown_of(taken.ptr()),
      Error({.kind = ErrorKind::ImportFailed,
             .phase = Phase::Import,
             .module = name,
             .message = "module '" + name + "' could not be imported: " + detail::one_line(raised),
             .hint = hint,
             .exception = std::move(raised)}));
}

}  // namespace

Module Host::load(std::string_view name) {
  return detail::telling(*data_->life, [&] {
    std::shared_ptr<detail::ModuleData> loaded = data_->loaded.find(name);
    if (!loaded) detail::check_module_name(name);
    const Enter enter;
    data_->life->must_be_here(name);
    if (loaded && loaded->is_current() && data_->modules->is_intact()) return Module(std::move(loaded));
    const CurrentRun run(name);
    return Module(detail::telling_failure(data_->life->watchers, name,
                                          [&] { return data_->import(std::string(name), run); }));
  });
}

namespace {

// The parents of a name within packages would be imported if Python were asked.
bool is_found(const detail::Namespace& modules, const detail::ModulePaths& paths, const std::string& name) {
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
  life->must_take_more(name);
  const detail::Timed timed(life->on_span, SpanKind::Import, name, run.id());
  const auto begun = life->watchers.begin();
  if (!modules->has(name)) {
    detail::restore_baseline();
    detail::refuse_ambiguous(paths, name);
  }
  modules->restore();
  if (!life->watchers.empty() && is_found(*modules, paths, name))
    life->watchers.tell(Moment::Found, name, run.id(), begun);
  for (;;) {
    const py::object module = detail::with_output_flushed(
        detail::call_inside(run, [&] { return modules->import(name).release().ptr(); }).release().ptr());
    detail::must_go_on(run, Phase::Import);
    if (!module) throw_not_imported(name, paths);
    const std::shared_ptr<detail::ModuleData> read = detail::read_module(life, name, module);
    if (!load(run, read)) continue;
    life->watchers.tell_end(Moment::Imported, name, run, begun, !run.is_part());
    return read;
  }
}

// The first thread that has imported the module calls its on_load, and the others wait for that. False if the
// module is gone by then: its on_load raised, or it was unloaded.
bool Host::Data::load(const CurrentRun& run, const std::shared_ptr<detail::ModuleData>& module) {
  PyObject* const object = module->module.ptr();
  std::optional<Changes::Begun> begun;
  while (!(begun = changes.begin(object, Changes::Kind::Load))) detail::must_go_on(run, Phase::Import);
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
    detail::load_module(run, *module);
  } catch (const Error&) {
    modules->forget(module->name);
    throw;
  }
  loaded.put(module);
  return true;
}

bool Host::unload(std::string_view name) {
  const Enter enter;
  data_->life->must_be_here(name);
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

// One Enter and one run around all: those within cost next to nothing.
template <class Action>
auto as_one_run(const detail::HostLife& host, std::string_view name, const RunOptions* options,
                Action action) {
  const Enter once;
  const CurrentRun whole(name, CurrentRun::Extent::Whole, once.thread_state());
  if (options != nullptr) {
    detail::telling(
        host, [&] { detail::telling_failure(host.watchers, name, [&] { detail::heed(options, whole); }); });
  }
  return action();
}

}  // namespace

Json Host::run_json(std::string_view name, const Json& state, const RunOptions* options) {
  return as_one_run(*data_->life, name, options, [&] { return load(name).create(state).run(); });
}

Json Host::run_json_from_text(std::string_view name, std::string_view state, const RunOptions* options) {
  return as_one_run(*data_->life, name, options, [&] { return load(name).create(state).run(); });
}

std::string Host::run_into_text(std::string_view name, const Json& state, const RunOptions* options) {
  return as_one_run(*data_->life, name, options, [&] { return load(name).create(state).run_text(); });
}

std::string Host::run_text_from_text(std::string_view name, std::string_view state,
                                     const RunOptions* options) {
  return as_one_run(*data_->life, name, options, [&] { return load(name).create(state).run_text(); });
}

Stream Host::stream(std::string_view name, const Json& state, const RunOptions& options) {
  return as_one_run(*data_->life, name, &options, [&] { return load(name).create(state).stream(options); });
}

Stream Host::stream_from_text(std::string_view name, std::string_view state, const RunOptions& options) {
  return as_one_run(*data_->life, name, &options, [&] { return load(name).create(state).stream(options); });
}

bool Host::cancel(RunId run) {
  const Enter enter;
  const CurrentRun* found = CurrentRun::find(run);
  if (found == nullptr) return false;
  detail::Stop::of(*found)->ask(ErrorKind::Cancelled);
  return true;
}

std::size_t Host::cancel_all() {
  const Enter enter;
  const std::vector<const CurrentRun*> runs = CurrentRun::outermost();
  for (const CurrentRun* run : runs) detail::Stop::of(*run)->ask(ErrorKind::Cancelled);
  return runs.size();
}

Survey Host::survey(const std::vector<std::string>& names, Look look) {
  for (const std::string& name : names) detail::check_module_name(name);
  const Enter enter;
  const std::string_view first = names.empty() ? std::string_view() : names.front();
  data_->life->must_be_here(first);
  data_->life->must_take_more(first);
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
