// Ends the processes that a worker process has started and left in its process group.
#pragma once

#include <sys/types.h>

namespace pyhost::detail {

/// Kills the group of a process that has ended and is not reaped yet. Before that, the other processes of the
/// group have a moment to end by themselves: multiprocessing's resource tracker removes shared memory when it
/// sees that its parent is gone. Returns at once if there are no others.
void end_process_group(pid_t ended_leader) noexcept;

}  // namespace pyhost::detail
