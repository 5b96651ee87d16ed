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

#include "awaiting.hpp"
#include "baseline.hpp"
#include "connections.hpp"
#include "contract.hpp"
#include "current_run.hpp"
#include "dependents.hpp"
#include "enter.hpp"
#include "events.hpp"
#include "handle_data.hpp"
#include "hint.hpp"
#include "interpreter.hpp"
#include "life_cycle.hpp"
#include "logging.hpp"
#include "module_name.hpp"
#include "module_path.hpp"
#include "offers.hpp"
#include "output.hpp"
#include "pyhost/error.hpp"
#include "secrets.hpp"
#include "services.hpp"
#include "stopping.hpp"
#include "survey.hpp"
#include "thrown.hpp"
#include "watchers.hpp"

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
      *same = module;
    } else {
      in_order_.push_back(module);
    }
  }

  // Null if it is not there.
  std::shared_ptr<detail::ModuleData> take(std::string_view name) {
    const std::lock_guard lock(mutex_);
    const auto at = modules_.find(name);
    if (at == modules_.end()) return nullptr;
    std::shared_ptr<detail::ModuleData> module = std::move(at->second);
    modules_.erase(at);
    std::erase(in_order_, module);
    return module;
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
  std::mutex loading = {};
  std::condition_variable load_ended = {};
  std::map<PyObject*, std::thread::id> loads = {};  // the modules whose on_load runs, and on which thread
  std::unique_ptr<detail::Redirection> redirection = {};
  Environment environment = {};
  std::shared_ptr<detail::Dependents> dependents = std::make_shared<detail::Dependents>();

  // For rooms that convert by what the modules convert by, and may outlive the host.
  std::shared_ptr<detail::Conversions> conversions() const { return {life, &life->conversions}; }

  void enter_python();
  void leave_python();
  void end_dependents();
  std::shared_ptr<detail::ModuleData> import(const std::string& name, const CurrentRun& run);
  void load(const CurrentRun& run, const std::shared_ptr<detail::ModuleData>& module);
  bool begin_load(const CurrentRun& run, PyObject* module);
};

Host::Host(Options given) : data_(std::make_unique<Data>()) {
  data_->only.emplace();
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
  if (logging) logging->enter_python(conversions());
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
  }
}

void Host::Data::leave_python() {
  life->closing = true;
  while (const auto module = loaded.take_last()) detail::unload_module(*module);
  detail::close_loops();
  redirection.reset();  // which may call the application back for the last time
  if (only) detail::close_sink(*sink);
  life->open = false;
  detail::close_connections();
  if (only) services->close();  // waits for who is in one
  life->conversions.clear();
  modules->remove();
  if (logging) logging->leave_python();
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

std::shared_ptr<detail::ModuleData> Host::Data::import(const std::string& name, const CurrentRun& run) {
  life->must_take_more(name);
  const detail::Timed timed(life->on_span, SpanKind::Import, name, run.id());
  const auto begun = life->watchers.begin();
  if (!modules->has(name)) {
    detail::restore_baseline();
    detail::refuse_ambiguous(paths, name);
  }
  modules->restore();
  if (!life->watchers.empty() && modules->finds(name))
    life->watchers.tell({Moment::Found, name, run.id(), begun});
  const py::object module = detail::with_output_flushed(
      detail::call_inside(run, [&] { return modules->import(name).release().ptr(); }).release().ptr());
  detail::must_go_on(run, Phase::Import);
  if (!module) throw_not_imported(name, paths);
  const std::shared_ptr<detail::ModuleData> read = detail::read_module(life, name, module);
  load(run, read);
  if (!run.is_part()) life->watchers.tell({Moment::Ending, name, run.id(), begun});
  life->watchers.tell({Moment::Imported, name, run.id(), begun});
  return read;
}

// The first thread that has imported the module calls its on_load, and the others wait for that; but for what
// an on_load itself asks of its module.
void Host::Data::load(const CurrentRun& run, const std::shared_ptr<detail::ModuleData>& module) {
  PyObject* const object = module->module.ptr();
  if (!begin_load(run, object)) {
    if (loaded.has(object)) loaded.put(module);  // perhaps with another create
    return;
  }
  const auto end = [&] {
    const std::lock_guard lock(loading);
    loads.erase(object);
    load_ended.notify_all();
  };
  try {
    detail::load_module(run, *module);
    loaded.put(module);
  } catch (const Error&) {
    modules->forget(module->name);
    end();
    throw;
  }
  end();
}

// False if there is nothing to do.
bool Host::Data::begin_load(const CurrentRun& run, PyObject* module) {
  const auto is_over = [&] { return !loads.contains(module); };
  for (;;) {
    {
      const detail::Leave leave;
      std::unique_lock lock(loading);
      const auto other = loads.find(module);
      if (other != loads.end() && other->second == std::this_thread::get_id()) return false;
      constexpr std::chrono::milliseconds slice(50);  // for a stop that waits to be seen
      if (load_ended.wait_for(lock, slice, is_over)) {
        if (loaded.has(module)) return false;
        loads.emplace(module, std::this_thread::get_id());
        return true;
      }
    }
    detail::must_go_on(run, Phase::Import);
  }
}

bool Host::unload(std::string_view name) {
  const Enter enter;
  data_->life->must_be_here(name);
  const std::shared_ptr<detail::ModuleData> module = data_->loaded.take(name);
  if (!module) return false;
  detail::unload_module(*module);
  data_->modules->forget(module->name);
  return true;
}

namespace {

// One Enter and one run around all: those within cost next to nothing.
template <class Action>
auto as_one_run(std::string_view name, const RunOptions* options, Action action) {
  const Enter once;
  const CurrentRun whole(name, CurrentRun::Extent::Whole, once.thread_state());
  detail::heed(options, whole);
  return action();
}

}  // namespace

Json Host::run_json(std::string_view name, const Json& state, const RunOptions* options) {
  return as_one_run(name, options, [&] { return load(name).create(state).run(); });
}

Json Host::run_json_from_text(std::string_view name, std::string_view state, const RunOptions* options) {
  return as_one_run(name, options, [&] { return load(name).create(state).run(); });
}

std::string Host::run_into_text(std::string_view name, const Json& state, const RunOptions* options) {
  return as_one_run(name, options, [&] { return load(name).create(state).run_text(); });
}

std::string Host::run_text_from_text(std::string_view name, std::string_view state,
                                     const RunOptions* options) {
  return as_one_run(name, options, [&] { return load(name).create(state).run_text(); });
}

Stream Host::stream(std::string_view name, const Json& state, const RunOptions& options) {
  return as_one_run(name, &options, [&] { return load(name).create(state).stream(options); });
}

Stream Host::stream_from_text(std::string_view name, std::string_view state, const RunOptions& options) {
  return as_one_run(name, &options, [&] { return load(name).create(state).stream(options); });
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
  data_->life->must_be_here(names.empty() ? "" : names.front());
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
