// Services: C++ functions that modules can call.
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

/// A C++ function that modules call as `services.<name>(…)`. The arguments are a JSON object, and the return
/// value is any JSON value. A service may run modules. Up to 100 calls of services may be nested.
/// Throws: any exception. It is raised in the module as `pyhost.ServiceError`. If the module does not catch
/// it, the caller of the module gets the original C++ exception.
/// Thread: the thread of the module, without the GIL. Several threads may call it at the same time.
using Service = std::function<Json(const Json& arguments)>;

/// A handle to the services of a host. Host::services() returns it. It may outlive the host.
/// Thread: any.
class HostServices {
 public:
  /// Adds a service. Modules can call it as `services.<name>(…)` after `from pyhost import services`. `name`
  /// is a single identifier that begins with a letter. `doc` is the docstring, for Python's `help()` and
  /// stubs(). A service of the same name is replaced, and its calls are waited for as in withdraw().
  /// Throws: InvalidName; HostClosed if the host is closed.
  void provide(std::string_view name, Service service, std::string doc = {}) const;

  /// Removes a service and waits for its calls in flight. Returns false if there is no service of this name.
  /// If it is called inside a service, it does not wait, because services could then wait for each other.
  /// ~Host removes all services.
  bool withdraw(std::string_view name) const;

  /// Returns the contents of a stub file for type checkers and editors. It contains the services that are
  /// provided now.
  std::string stubs() const;

 private:
  friend class Host;
  explicit HostServices(std::shared_ptr<detail::Services> services) : services_(std::move(services)) {}
  const std::shared_ptr<detail::Services> services_;
};

}  // namespace pyhost
