// The start of a worker process: its arguments, its descriptors, and how its life is tied to its pool's.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string_view>

#include "pool/process/shared_memory.hpp"
#include "pool/process/worker_process.hpp"

namespace pyhost::detail {

/// The arguments with which a pool starts a worker.
struct StartArguments {
  int first_descriptor = 0;
  pid_t pool = 0;

  int descriptor(Inherited which) const { return first_descriptor + static_cast<int>(which); }
};

/// Returns nothing if the pool is of another version of pyhost.
std::optional<StartArguments> parse_start_arguments(std::string_view text);

/// Closes the descriptors of the application, and keeps those of the pool from processes that modules start.
void prepare_descriptors(const StartArguments& arguments);

/// Maps the memory that is shared with the pool, and closes its descriptor.
SharedPage* map_shared_page(int descriptor);

/// Kills this process, and all in its group, once the pool's thread has ended.
void end_when_pool_ends(const StartArguments& arguments);

/// Kills this process, and all in its group.
[[noreturn]] void end_with_pool();

/// From now on is_forked() is true in children that modules fork: they must not use the channel to the pool.
void observe_forks();

/// SIGINT and SIGTERM do not end this process. A service manager, for example, sends them to all processes of
/// a job at once; the pool then decides when its workers end.
void survive_signals_to_a_job();
bool is_forked() noexcept;

}  // namespace pyhost::detail
