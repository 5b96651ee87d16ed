// Calls the helper process of a scheduler.
#include "schedule/claims_process.hpp"

#include <chrono>
#include <utility>

#include "error/json_text.hpp"
#include "pyhost/host.hpp"

namespace pyhost::detail {

namespace {

// Longer than the database allows any statement to take.
constexpr std::chrono::seconds longest_call(15);

Options options_of_helper(const HostInternals& host) {
  Options options = host.options;
  options.callbacks = {};
  options.logging = {};
  options.store.clear();
  return options;
}

HostInternals internals_of_helper(const HostInternals& host, const Options& options,
                                  const std::vector<std::filesystem::path>& paths) {
  return {options, paths, host.environment, host.host_state, host.services, host.output, nullptr};
}

}  // namespace

void throw_failure(const Json& error) {
  const bool unreachable = error.at("kind") == "unreachable";
  throw Error({.kind = unreachable ? ErrorKind::Unreachable : ErrorKind::InvalidSchedule,
               .phase = Phase::Start,
               .message = error.at("message"),
               .hint = error.value("hint", "")});
}

ClaimsProcess::ClaimsProcess(Host& host, Json common, const std::filesystem::path& worker)
    : options_(options_of_helper(host.internals())),
      paths_{Host::python_modules() / "pyhost" / "_schedule"},
      pool_(host, internals_of_helper(host.internals(), options_, paths_),
            {.workers = 1, .isolation = Isolation::Process, .timeout = longest_call, .worker = worker}),
      common_(std::move(common)) {}

void ClaimsProcess::set_entries(Json entries) {
  const std::lock_guard lock(mutex_);
  entries_ = std::move(entries);
  ++version_;
}

Json ClaimsProcess::call(const std::string& function, Json arguments) {
  arguments.update(common_);
  arguments["call"] = function;
  const std::unique_lock lock(mutex_);
  if (version_ > 0) arguments["entries_version"] = version_;
  Json answer = ask(arguments);
  if (answer.contains("need")) {  // the process does not have these entries yet
    arguments["entries"] = entries_;
    answer = ask(arguments);
  }
  if (answer.contains("error")) throw_failure(answer["error"]);
  return answer;
}

Json ClaimsProcess::ask(const Json& request) {
  const auto submit = [&] { return parse_json(pool_.submit<std::string>("claims", request).get()); };
  try {
    try {
      return submit();
    } catch (const Error& error) {
      // All calls except a trigger may be repeated, in a new process.
      if (error.kind() != ErrorKind::WorkerCrashed || request.at("call") == "trigger") throw;
    }
    return submit();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::TimedOut && error.kind() != ErrorKind::WorkerCrashed) throw;
    const bool late = error.kind() == ErrorKind::TimedOut;
    throw Error({.kind = ErrorKind::Unreachable,
                 .phase = Phase::Start,
                 .message = late ? "the database of the schedule did not answer within 15 s"
                                 : "the helper process of the schedule ended: " + error.message(),
                 .hint = late ? "check the connection to the database" : ""});
  }
}

}  // namespace pyhost::detail
