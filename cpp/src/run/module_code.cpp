// The slow path at the end of a call into a module's code: an exception was raised in it from another thread.
#include "run/module_code.hpp"

#include "python/gil.hpp"

namespace pyhost::detail {

void InModuleCode::drop_raised() noexcept {
  if (!thread_.is_pending()) thread_.arrived = true;
  thread_.raised = false;
  thread_.woken = false;
  drop_async_exception(thread_.state);
}

}  // namespace pyhost::detail
