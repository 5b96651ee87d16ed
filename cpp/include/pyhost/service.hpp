// C++ functions that modules can call.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "pyhost/json_fwd.hpp"

namespace pyhost {

namespace detail {
class Services;
}

/// A C++ function that modules call by `services.<name>(…)`. The arguments are a JSON object, the answer is
/// any JSON value. It may run modules itself, to 100 calls within each other. An exception from it is a
/// pyhost.ServiceError in the module, and the same C++ exception again for the caller of the module if the
/// module did not catch it.
/// Thread: that of the module, without the GIL; several at once if several modules call it.
using Service = std::function<Json(const Json& arguments)>;

/// The services of a host, see Host::services(). It may outlive the host.
/// Thread: any.
class HostServices {
 public:
  /// Lets modules call `services.<name>(…)` after `from pyhost import services`. Replaces an earlier service
  /// of this name, and waits for its calls as withdraw() does. The name is one identifier that begins with a
  /// letter; the doc is shown by Python's help and in stubs().
  /// Throws: InvalidName; HostClosed once the host is closed.
  void provide(std::string_view name, Service service, std::string doc = {}) const;

  /// Removes a service. Returns false if there is none of this name. Afterwards no thread is in a call of the
  /// service, or begins one. Within a call of a service it does not wait, since services could then wait for
  /// each other: calls that are in progress on other threads end later. ~Host removes all services.
  bool withdraw(std::string_view name) const;

  /// Returns the stub file pyhost/services.pyi of the services that are provided now, for type checkers and
  /// editors.
  std::string stubs() const;

 private:
  friend class Host;
  explicit HostServices(std::shared_ptr<detail::Services> services) : services_(std::move(services)) {}
  const std::shared_ptr<detail::Services> services_;
};

}  // namespace pyhost
