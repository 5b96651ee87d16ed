// The table of the services, and the calls that are in flight.
#include "services/services.hpp"

#include <exception>
#include <utility>

#include "error/module_name.hpp"
#include "pyhost/error.hpp"
#include "pyhost/json.hpp"
#include "python/cpp_exception.hpp"
#include "python/gil.hpp"
#include "services/connections.hpp"
#include "services/service_stubs.hpp"

namespace pyhost::detail {

namespace {

// CBOR cannot hold discarded values, so they are replaced by binary ones. The module's process refuses those
// with the same message.
void replace_discarded(Json& value) {
  if (value.is_discarded()) value = Json::binary({});
  if (!value.is_structured()) return;
  for (Json& each : value) replace_discarded(each);
}

}  // namespace

struct Services::Entry {
  Service function;
  std::string doc;
  int calls = 0;  ///< In flight; guarded by the mutex of Services.
};

thread_local const Services::Call* Services::Call::innermost = nullptr;

Services::Call::Call(Services& services, const std::string& name) : services_(services), outer_(innermost) {
  const std::lock_guard lock(services_.mutex_);
  const auto found = services_.entries_.find(name);
  if (found == services_.entries_.end()) return;
  entry_ = found->second;
  ++entry_->calls;
  innermost = this;
}

Services::Call::~Call() {
  if (!entry_) return;
  innermost = outer_;
  {
    const std::lock_guard lock(services_.mutex_);
    --entry_->calls;
  }
  services_.call_ended_.notify_all();
}

Json Services::Call::operator()(const Json& arguments) const { return entry_->function(arguments); }

int Services::Call::depth() noexcept {
  int count = 0;
  for (const Call* at = innermost; at != nullptr; at = at->outer_) ++count;
  return count;
}

void Services::provide(std::string_view name, Service function, std::string doc) {
  std::string_view problem = problem_of_name(name);
  if (problem.empty() && name.find('.') != std::string_view::npos) problem = "it has a dot";
  if (problem.empty() && name.starts_with('_')) problem = "it begins with an underscore";
  if (problem.empty() && !function) problem = "its function is empty";
  if (!problem.empty()) {
    throw Error({.kind = ErrorKind::InvalidName,
                 .phase = Phase::Start,
                 .message = quoted_name(name) + " cannot be a service: " + std::string(problem),
                 .hint = "modules call it as services.NAME, so the name must be one identifier"});
  }
  auto entry = std::make_shared<Entry>(Entry{std::move(function), std::move(doc)});
  {
    const std::lock_guard lock(mutex_);
    entries_[std::string(name)].swap(entry);
  }
  if (entry) wait_and_release(entry);
}

bool Services::withdraw(std::string_view name) {
  std::shared_ptr<Entry> entry;
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(name);
    if (found == entries_.end()) return false;
    entry = std::move(found->second);
    entries_.erase(found);
  }
  wait_and_release(entry);
  return true;
}

void Services::close() noexcept {
  std::map<std::string, std::shared_ptr<Entry>, std::less<>> all;
  {
    const std::lock_guard lock(mutex_);
    open_ = false;
    all.swap(entries_);
  }
  for (const auto& each : all) wait_and_release(each.second);
}

// The application may destroy what the service uses once this returns, so no call may be in flight. A thread
// that is itself in a service does not wait: it might wait for its own call, or for one that waits for it.
// Calls may need the GIL to end, so it is released.
void Services::wait_and_release(const std::shared_ptr<Entry>& entry) noexcept {
  const GilReleaseIfHeld no_gil;
  std::unique_lock lock(mutex_);
  if (Call::depth() == 0) call_ended_.wait(lock, [&] { return entry->calls == 0; });
  const bool is_unused = entry->calls == 0;
  lock.unlock();
  if (is_unused) entry->function = nullptr;  // even if an ended call still owns the entry for a moment
}

bool Services::is_open() const noexcept {
  const std::lock_guard lock(mutex_);
  return open_;
}

std::vector<std::string> Services::names() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& each : entries_) names.push_back(each.first);
  return names;
}

std::optional<std::string> Services::doc(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(name);
  return found != entries_.end() ? std::optional(found->second->doc) : std::nullopt;
}

std::string Services::missing_message(const std::string& name) const {
  const std::string hint = did_you_mean(name, names());
  return "the host provides no service " + quoted_name(name) + (hint.empty() ? "" : "; " + hint);
}

std::string Services::stubs() const {
  std::vector<std::pair<std::string, std::string>> docs;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, entry] : entries_) docs.emplace_back(name, entry->doc);
  }
  return service_stubs(docs);
}

Json Services::answer(const Json& question) {
  if (question.contains("names")) return {{"names", names()}};
  const auto not_found = [this](const std::string& name) -> Json {
    if (!is_open()) return {{"closed", host_closed_message}};
    return {{"missing", missing_message(name)}};
  };
  if (!question.contains("call")) {
    const auto name = question.at("doc").get<std::string>();
    const std::optional<std::string> text = doc(name);
    return text ? Json{{"doc", *text}} : not_found(name);
  }
  const auto name = question.at("call").get<std::string>();
  const Call call(*this, name);
  if (!call) return not_found(name);
  const auto raised = [](std::string type, std::string_view message, std::string_view kind) {
    return Json{{"raised", {{"type", std::move(type)}, {"message", message}, {"kind", kind}}}};
  };
  try {
    const StoresHeldElsewhere held(question.value("stores", Json::array()));
    Json answer = call(question.at("arguments"));
    replace_discarded(answer);
    return {{"answer", std::move(answer)}};
  } catch (const Error& error) {
    return raised(current_exception_type(), error.message(), to_string(error.kind()));
  } catch (const std::exception& error) {
    return raised(current_exception_type(), error.what(), {});
  } catch (...) {
    return raised(current_exception_type(), {}, {});
  }
}

}  // namespace pyhost::detail

namespace pyhost {

void HostServices::provide(std::string_view name, Service service, std::string doc) const {
  if (!services_->is_open()) {
    throw Error({.kind = ErrorKind::HostClosed,
                 .phase = Phase::Close,
                 .message = "service '" + std::string(name) +
                            "' cannot be provided: " + std::string(detail::host_closed_message),
                 .hint = "keep the Host for as long as its modules are used",
                 .closed = Closed::Host});
  }
  services_->provide(name, std::move(service), std::move(doc));
}

bool HostServices::withdraw(std::string_view name) const { return services_->withdraw(name); }

std::string HostServices::stubs() const { return services_->stubs(); }

}  // namespace pyhost
