// One worker process of a pool: starts it, observes it, kills it, and reaps it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pool/process/descriptor.hpp"
#include "pool/process/shared_memory.hpp"
#include "pyhost/error.hpp"

namespace pyhost::detail {

/// The descriptors that a worker shares with its pool, in this order. Their numbers are higher than those
/// that modules close when they close "all" descriptors.
enum class Inherited : int { Channel, Wakeup, Memory, Trace };
inline constexpr int inherited_count = 4;

/// The first argument of a worker. The second one contains the number of its first descriptor, the process id
/// of its pool, and the version.
inline constexpr const char* worker_word = "--worker-of-a-pool";

/// The version that worker and pool must have in common; the last part of the second argument.
std::string worker_version();

/// The signal that makes a worker write the stacks of its threads.
int stack_dump_signal() noexcept;

/// The signal that a worker gets when its pool ends.
int pool_ended_signal() noexcept;

/// How a process ended.
struct ExitStatus {
  bool known = false;  ///< False if something else in this process has reaped it.
  int signal = 0;      ///< 0 if it exited by itself.
  int status = 0;      ///< The exit status, if it exited by itself.

  /// Whether the kernel's out-of-memory killer sent the signal, as far as can be known.
  bool of_oom_killer = false;
};

/// "signal 11 (SIGSEGV)" or "status 3".
std::string to_string(const ExitStatus& ending);

/// A worker process and its shared page. Created, used and destroyed by one thread: the worker dies with that
/// thread.
class WorkerProcess {
 public:
  /// Throws StartupFailed.
  explicit WorkerProcess(const std::filesystem::path& program);

  /// Kills the process, and all processes that it left in its process group.
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  int channel() const noexcept { return channel_.get(); }
  /// Readable once the process has ended; -1 if the system has no such descriptors.
  int ended_descriptor() const noexcept { return ended_.get(); }
  SharedPage& page() noexcept { return *page_; }
  pid_t id() const noexcept { return id_; }

  /// Wakes the worker, so that it cancels the run in page().cancelled.
  void wake_worker() noexcept;

  /// Makes the worker write the stacks of its threads, and waits a short time for that.
  void request_stack_dump() noexcept;

  /// Kills the process and its group, and returns how it ended.
  ExitStatus kill() noexcept;

  /// Waits at most this time, and returns whether the process has ended.
  bool ends_within(std::chrono::milliseconds patience) noexcept;

  bool has_ended() noexcept;

  /// Returns the text that faulthandler wrote.
  std::string trace() const;

 private:
  void map_memory(int memory);
  bool reap(bool block) noexcept;

  Descriptor channel_, wakeup_, trace_, ended_;
  struct Unmap {
    void operator()(SharedPage* page) const noexcept;
  };
  std::unique_ptr<SharedPage, Unmap> page_;
  pid_t id_ = -1;
  std::optional<ExitStatus> ending_;
};

/// Returns the frames that faulthandler wrote for the thread that crashed, or otherwise for the main thread,
/// outermost first. The reason that it wrote before them is the message of a "Fatal Python error".
PythonException traced_exception(std::string_view trace);

/// Returns the path of pyhost-worker. Throws StartupFailed, which names the places that were searched.
std::filesystem::path find_worker(const std::filesystem::path& given);

}  // namespace pyhost::detail
