// What a host leaves behind with its handles, and whom it tells of errors.
#include "handle_data.hpp"

namespace pyhost::detail {

void HostLife::throw_closed(std::string_view module) {
  throw Error({.kind = ErrorKind::HostClosed,
               .phase = Phase::Close,
               .module = std::string(module),
               .message = "module '" + std::string(module) + "' belongs to a host that is closed",
               .hint = "keep the Host for as long as its modules are used, or load the module again"});
}

void HostLife::tell(const Error& error) const noexcept {
  static thread_local bool in_on_error = false;
  const bool of_a_module =
      error.kind() == ErrorKind::ImportFailed || error.kind() == ErrorKind::BadContract ||
      error.kind() == ErrorKind::ModuleRaised || error.kind() == ErrorKind::InvalidResult;
  if (!on_error || !of_a_module || in_on_error) return;
  in_on_error = true;
  try {
    const Outside outside;
    on_error(error);
  } catch (...) {
    // The caller is to get the error that was told, not that of the telling.
  }
  in_on_error = false;
}

}  // namespace pyhost::detail
