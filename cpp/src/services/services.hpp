// The services of a host: what its modules may call, and how the answers come to them.
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

  /// Adds a service, or replaces the one of the name, and waits for its calls as withdraw() does. Throws
  /// InvalidName.
  void provide(std::string_view name, Service function, std::string doc);

  /// Returns false if there is no service of this name. Waits until no thread is in a call of the service;
  /// does not wait on a thread that is itself in a call of any service.
  bool withdraw(std::string_view name);

  /// Withdraws all services, and refuses further calls.
  void close() noexcept;

  bool is_open() const noexcept;
  std::vector<std::string> names() const;

  /// The documentation of a service; nothing if there is no service of this name.
  std::optional<std::string> doc(const std::string& name) const;

  /// "the host provides no service 'x'", with similar names.
  std::string missing_message(const std::string& name) const;

  /// A .pyi of the Python module pyhost.services with the services that are provided now.
  std::string stubs() const;

  /// Answers questions of modules in place of these services: {"call": name, "arguments": …, "stores":
  /// held_stores()} by {"answer": …}, {"raised": {"type", "message", "kind"}}, {"missing": message} or
  /// {"closed": message};
  /// {"doc": name} by
  /// {"doc": text}; {"names": true} by {"names": […]}. Called without the GIL, on any thread.
  using RemoteAnswer = std::function<Json(const Json& question)>;

  /// Uses the function from now on. Must not be called while a module runs.
  void answer_remotely(RemoteAnswer answer) { remote_answer_ = std::move(answer); }

  /// Null if these services answer themselves.
  const RemoteAnswer& remote_answer() const noexcept { return remote_answer_; }

  /// Such an answer, for a module in another process.
  Json answer(const Json& question);

  /// One call of a service, which is not withdrawn while it lives. False if there is no service of this name.
  class Call {
   public:
    Call(Services& services, const std::string& name);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    explicit operator bool() const noexcept { return entry_ != nullptr; }
    Json operator()(const Json& arguments) const;

    /// How many calls this thread is in, one within the other.
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
