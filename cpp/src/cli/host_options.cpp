// Merges the arguments and the project file.
#include "cli/host_options.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/configuration.hpp"
#include "cli/errors.hpp"
#include "cli/units.hpp"

namespace pyhost::cli {

namespace {

void append_paths(std::vector<std::filesystem::path>& paths, std::string_view joined) {
  while (!joined.empty()) {
    const std::size_t end = std::min(joined.find(':'), joined.size());
    if (end > 0) paths.emplace_back(joined.substr(0, end));
    joined.remove_prefix(std::min(end + 1, joined.size()));
  }
}

}  // namespace

Options host_options(const HostArguments& arguments) { return host_options(arguments, configuration()); }

Options host_options(const HostArguments& arguments, const Configuration& file) {
  Options options;
  options.venv = arguments.venv.empty() ? file.venv : arguments.venv;
  options.store = arguments.store.empty() ? file.store : arguments.store;
  options.connections = file.connections;
  options.python.use_environment = arguments.use_environment;
  options.shutdown_timeout = std::chrono::milliseconds(std::llround(arguments.shutdown_timeout * 1000));
  options.module_paths.assign(arguments.module_paths.begin(), arguments.module_paths.end());
  if (!options.module_paths.empty()) return options;
  const char* variable = std::getenv("PYHOST_MODULE_PATH");
  append_paths(options.module_paths, variable != nullptr ? variable : "");
  if (options.module_paths.empty())
    options.module_paths.assign(file.module_paths.begin(), file.module_paths.end());
  return options;
}

std::optional<std::chrono::milliseconds> run_timeout(const std::string& module, const std::string& given) {
  return given.empty() ? configuration().of(module).timeout : parse_time(given, "--timeout");
}

MapOptions map_options_of(const MapArguments& arguments) {
  MapOptions options{.ordered = arguments.ordered, .retries = arguments.retries};
  options.run.timeout = run_timeout(arguments.name, arguments.timeout);
  options.run.import_timeout = parse_time(arguments.import_timeout, "--import-timeout");
  return options;
}

PoolOptions pool_options_of(const MapArguments& arguments) {
  PoolOptions options{.workers = arguments.workers,
                      .isolation = parse_isolation(arguments.isolation).value()};
  options.memory_limit = memory_limit(arguments.memory_limit);
  if (options.memory_limit != 0 && options.isolation != Isolation::Process)
    throw UsageError("--memory-limit needs --isolation process");
  options.max_runs_per_worker = arguments.max_runs_per_worker;
  options.max_resident = memory_limit(arguments.max_memory_per_worker, "--max-memory-per-worker");
  if ((options.max_runs_per_worker != 0 || options.max_resident != 0) &&
      options.isolation != Isolation::Process)
    throw UsageError("--max-runs-per-worker and --max-memory-per-worker need --isolation process");
  return options;
}

std::optional<Isolation> parse_isolation(std::string_view name) noexcept {
  for (const Isolation each : {Isolation::Shared, Isolation::Interpreter, Isolation::Process}) {
    if (to_string(each) == name) return each;
  }
  return std::nullopt;
}

std::optional<std::chrono::milliseconds> parse_time(const std::string& given, const std::string& option) {
  if (given.empty()) return std::nullopt;
  if (const auto time = parse_duration(given)) return time;
  throw UsageError(option + " must be a time like 30s, 500ms, 2m or 1h, not '" + given + "'");
}

std::size_t memory_limit(const std::string& given, const std::string& option) {
  if (given.empty()) return 0;
  if (const auto limit = parse_size(given)) return *limit;
  throw UsageError(option + " must be a size like 512M or 2G, not '" + given + "'");
}

}  // namespace pyhost::cli
