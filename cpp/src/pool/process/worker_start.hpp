// The start of a worker process: its arguments, its descriptors, and that it ends with its pool.
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

/// Returns nothing if the pool has another version of pyhost.
std::optional<StartArguments> parse_start_arguments(std::string_view text);

/// Closes the descriptors of the application. Processes that modules start will not inherit those of the
/// pool.
void prepare_descriptors(const StartArguments& arguments);

/// Maps the memory that is shared with the pool, and closes its descriptor.
SharedPage* map_shared_page(int descriptor);

/// Arranges that this process and its group are killed when the pool's thread ends.
void end_when_pool_ends(const StartArguments& arguments);

/// Kills this process and its group.
[[noreturn]] void end_with_pool();

/// Makes is_forked() return true in children that modules fork: they must not use the channel to the pool.
void observe_forks();

/// Whether a module has forked this process, after observe_forks().
bool is_forked() noexcept;

/// Makes SIGINT and SIGTERM not end this process. A service manager, for example, sends them to all processes
/// of a job at once. The pool decides when its workers end.
void survive_signals_to_a_job();

}  // namespace pyhost::detail
