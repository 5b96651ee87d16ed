// Errors for threads, processes and descriptors that the system refuses. They name the limit of the system.
#pragma once

#include <sys/resource.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "pyhost/error.hpp"

namespace pyhost::detail {

/// Returns a StartupFailed error for a thread, process or descriptor that the system refused with this errno.
Error refused_by_system(const std::string& what, int error);

/// Returns `result`, which a system call returned. Throws: refused_by_system() if it is negative.
int require_from_system(int result, const std::string& what);

/// Starts a thread. All threads of pyhost are started here.
/// Throws: refused_by_system().
template <class Thread = std::thread, class Function>
Thread start_thread(Function function) {
  try {
    return Thread(std::move(function));
  } catch (const std::system_error& failed) {
    throw refused_by_system("no thread could be started", failed.code().value());
  }
}

/// Returns the limit that prevents another thread or process, as in "pids.max of the control group /job is
/// 16". Empty if none is known. `of_user` is RLIMIT_NPROC. `root` and `groups` are as for control_groups().
std::string limit_of_threads(const std::filesystem::path& root, std::string_view groups, rlim_t of_user);

}  // namespace pyhost::detail
