// The slow path at the end of a call into a module's code: an exception was raised in it from another thread.
#include "run/module_code.hpp"

#include "python/gil.hpp"

namespace pyhost::detail {

void InModuleCode::drop_raised(CurrentRun::Thread& thread) noexcept {
  if (!thread.is_pending()) thread.arrived = true;
  thread.raised = false;
  thread.woken = false;
  drop_async_exception(thread.state);
}

}  // namespace pyhost::detail
