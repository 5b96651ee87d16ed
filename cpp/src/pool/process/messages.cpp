// Options and events, to JSON and back.
#include "pool/process/messages.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "error/error_json.hpp"
#include "host/host_internals.hpp"
#include "interpreter/installation.hpp"
#include "run/events.hpp"

namespace pyhost::detail {

namespace {

using std::chrono::milliseconds;

EventKind kind_of(const Json& number) {
  const int kind = number.get<int>();
  if (kind < 0 || kind > static_cast<int>(EventKind::Unloaded))
    throw Json::other_error::create(501, "unknown kind of event", &number);
  return static_cast<EventKind>(kind);
}

Json json_of(const Error* error) { return error != nullptr ? error->to_json() : Json(nullptr); }

std::optional<Error> error_of(const Json& json) {
  if (json.is_null()) return std::nullopt;
  return error_from_json(json);
}

}  // namespace

Json start_message(const HostInternals& host, const WorkerLimits& limits) {
  const Options& options = host.options;
  Json paths = Json::array();
  for (const auto& path : host.paths) paths.push_back(path.string());
  const auto absolute = [](const std::filesystem::path& path) {
    return path.empty() ? std::string() : std::filesystem::absolute(path).string();
  };
  return {{"module_paths", paths},
          {"venv", absolute(host.environment.venv)},
          {"home", absolute(options.python.home)},
          {"python_modules", python_modules().string()},
          {"use_environment", options.python.use_environment},
          {"connections", options.connections},
          {"store", absolute(options.store)},
          {"log_level", static_cast<int>(options.logging.level)},
          {"log_queue", options.logging.queue_size},
          {"shutdown_timeout", options.shutdown_timeout.count()},
          {"on_output", static_cast<bool>(options.callbacks.on_output)},
          {"on_error", static_cast<bool>(options.callbacks.on_error)},
          {"on_event", static_cast<bool>(options.callbacks.on_event)},
          {"on_log", static_cast<bool>(options.logging.on_log)},
          {"on_span", static_cast<bool>(options.callbacks.on_span)},
          {"memory_limit", limits.memory_limit},
          {"max_resident", limits.max_resident},
          {"library_threads", limits.library_threads}};
}

Options options_from(const Json& start) {
  Options options;
  for (const auto& path : start.at("module_paths").get<std::vector<std::string>>())
    options.module_paths.emplace_back(path);
  options.venv = start.at("venv").get<std::string>();
  options.python.home = start.at("home").get<std::string>();
  options.python.python_modules = start.at("python_modules").get<std::string>();
  options.python.use_environment = start.at("use_environment");
  options.connections = start.at("connections").get<std::map<std::string, std::string>>();
  options.store = start.at("store").get<std::string>();
  options.logging.level = static_cast<LogLevel>(start.at("log_level").get<int>());
  options.logging.queue_size = start.at("log_queue");
  options.shutdown_timeout = milliseconds(start.at("shutdown_timeout").get<std::int64_t>());
  return options;
}

WorkerLimits limits_from(const Json& start) {
  return {.memory_limit = start.at("memory_limit"),
          .max_resident = start.at("max_resident"),
          .library_threads = start.at("library_threads")};
}

Json message_of(const Event& event) {
  return {{"kind", static_cast<int>(event.kind)},
          {"module", event.module},
          {"run", event.run},
          {"start", nanoseconds_of(event.start)},
          {"seconds", event.seconds.count()},
          {"error", json_of(event.error)}};
}

void forward_event(const Json& message, std::uint64_t worker,
                   const std::function<void(const Event&)>& on_event) {
  const auto module = message.at("module").get<std::string>();
  const std::optional<Error> error = error_of(message.at("error"));
  const Event event{.kind = kind_of(message.at("kind")),
                    .module = module,
                    .run = run_of_worker(worker, message.at("run")),
                    .start = time_of<std::chrono::system_clock>(message.at("start")),
                    .seconds = std::chrono::duration<double>(message.at("seconds").get<double>()),
                    .error = error ? &*error : nullptr};
  call_on_event(on_event, event);
}

std::uint64_t run_of_worker(std::uint64_t worker, std::uint64_t run) noexcept {
  constexpr int bits_of_run = 40;
  return run == 0 ? 0 : worker << bits_of_run | run;
}

}  // namespace pyhost::detail
