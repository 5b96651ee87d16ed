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

/// The descriptors that a worker shares with its pool, in this order. Their numbers are above those that a
/// module closes when it closes "all".
enum class Inherited : int { Channel, Wakeup, Memory, Trace };
inline constexpr int inherited_count = 4;

/// The first argument of a worker. The second one holds the number of its first descriptor, the process id of
/// its pool, and the version.
inline constexpr const char* worker_word = "--worker-of-a-pool";

/// The version that both must have in common; the last part of the second word.
std::string worker_version();

/// The signal that makes a worker write the stacks of its threads, and the one that it gets when its pool
/// ends.
int stack_dump_signal() noexcept;
int pool_ended_signal() noexcept;

/// How a process ended.
struct ExitStatus {
  bool known = false;  ///< Somebody else may have taken its status.
  int signal = 0;      ///< 0 if it exited by itself,
  int status = 0;      ///< with this.
  bool of_oom_killer =
      false;  ///< Whether the kernel's out-of-memory killer sent the signal, as far as is known.
};

/// "signal 11 (SIGSEGV)" or "status 3".
std::string to_string(const ExitStatus& ending);

/// A pair of page and process. Made, used and destroyed by one thread: the worker dies with it.
class WorkerProcess {
 public:
  /// Throws StartupFailed.
  explicit WorkerProcess(const std::filesystem::path& program);

  /// Kills it, and whatever it started and left in its process group.
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  int channel() const noexcept { return channel_.get(); }
  /// Readable once it has ended; -1 where the system has none.
  int ended_descriptor() const noexcept { return ended_.get(); }
  SharedPage& page() noexcept { return *page_; }
  pid_t id() const noexcept { return id_; }

  /// Wakes the worker, which cancels the run that is in page().cancelled.
  void wake_worker() noexcept;

  /// Makes it write the stacks of its threads, and waits a little for that.
  void request_stack_dump() noexcept;

  /// Kills it and its group, and returns how it ended.
  ExitStatus kill() noexcept;

  /// Returns whether it ends by itself within this time.
  bool ends_within(std::chrono::milliseconds patience) noexcept;

  bool has_ended() noexcept;

  /// What faulthandler wrote.
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

/// The frames that faulthandler wrote of the thread that crashed, or else of the main thread, outermost
/// first; with what it says in front of them as the message of "Fatal Python error".
PythonException traced_exception(std::string_view trace);

/// Where pyhost-worker is. Throws StartupFailed, which says where it was looked for.
std::filesystem::path find_worker(const std::filesystem::path& given);

}  // namespace pyhost::detail
