// The services of a host, which its modules call.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pyhost/json.hpp"
#include "pyhost/service.hpp"

namespace pyhost::detail {

inline constexpr std::string_view host_closed_message = "its host is closed";

/// The services of a host, by name. Any thread may call any function, with or without the GIL.
class Services {
  struct Entry;

 public:
  Services() = default;
  Services(const Services&) = delete;
  Services& operator=(const Services&) = delete;

  /// Adds a service. Replaces an existing one with the same name, and waits for its calls as withdraw() does.
  /// Throws InvalidName.
  void provide(std::string_view name, Service function, std::string doc);

  /// Removes a service, and waits until no thread is in a call of it. Does not wait if this thread is itself
  /// in a call of any service. Returns false if there is no service with this name.
  bool withdraw(std::string_view name);

  /// Removes all services, and refuses further calls.
  void close() noexcept;

  bool is_open() const noexcept;
  std::vector<std::string> names() const;

  /// Returns the documentation of a service; nothing if there is no service with this name.
  std::optional<std::string> doc(const std::string& name) const;

  /// Returns "the host provides no service 'x'", with similar names.
  std::string missing_message(const std::string& name) const;

  /// Returns a .pyi of the Python module pyhost.services with the current services.
  std::string stubs() const;

  /// Answers a question of a module in place of these services. Called without the GIL, on any thread.
  /// Questions: {"call": name, "arguments": …, "stores": held_stores()}, {"doc": name}, {"names": true}.
  /// Answers: {"answer": …} or {"raised": {"type", "message", "kind"}} for a call, {"doc": text},
  /// {"names": […]}; {"missing": message} or {"closed": message} if the service cannot be called.
  using RemoteAnswer = std::function<Json(const Json& question)>;

  /// Makes the function answer from now on. Must not be called while a module runs.
  void answer_remotely(RemoteAnswer answer) { remote_answer_ = std::move(answer); }

  /// Returns null if these services answer themselves.
  const RemoteAnswer& remote_answer() const noexcept { return remote_answer_; }

  /// Answers such a question from a module in another process.
  Json answer(const Json& question);

  /// One call of a service, which keeps withdraw() waiting. False if there is no service with this name.
  class Call {
   public:
    Call(Services& services, const std::string& name);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    explicit operator bool() const noexcept { return entry_ != nullptr; }
    Json operator()(const Json& arguments) const;

    /// Returns the number of nested calls that this thread is in.
    static int depth() noexcept;

   private:
    static thread_local const Call* innermost;
    Services& services_;
    std::shared_ptr<Entry> entry_;
    const Call* outer_;
  };

 private:
  void wait_and_release(const std::shared_ptr<Entry>& entry) noexcept;

  mutable std::mutex mutex_;
  std::condition_variable call_ended_;
  std::map<std::string, std::shared_ptr<Entry>, std::less<>> entries_;
  bool open_ = true;
  RemoteAnswer remote_answer_;
};

}  // namespace pyhost::detail
