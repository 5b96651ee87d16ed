// One worker process, as its pool has it: started, watched, killed, buried.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pool/process/descriptor.hpp"
#include "pool/process/shared_memory.hpp"
#include "pyhost/error.hpp"

namespace pyhost::detail {

/// Where a worker finds what it shares with its pool: descriptors above those that a module closes when it
/// closes "all", in this order.
enum class Inherited : int { Channel, Bell, Memory, Trace };
inline constexpr int inherited_count = 4;

/// The first word of a worker; the second one has the first of its descriptors, the process of its pool, and
/// the version.
inline constexpr const char* worker_word = "--worker-of-a-pool";

/// What both have to have in common; the last part of the second word.
std::string worker_version();

/// The signal by which a worker tells where its threads are, and the one by which it hears of its pool's end.
int stack_dump_signal() noexcept;
int pool_ended_signal() noexcept;

/// How a process ended.
struct ExitStatus {
  bool known = false;  ///< Somebody else may have taken its status.
  int signal = 0;      ///< 0 if it left by itself,
  int status = 0;      ///< with this.
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

  /// Has the run that is in page().cancelled stopped.
  void ring() noexcept;

  /// Has it write where its threads are, and waits a little for that.
  void request_stack_dump() noexcept;

  /// Kills it and its group, and gives how it ended.
  ExitStatus kill() noexcept;

  /// Whether it ends by itself in this time.
  bool ends_within(std::chrono::milliseconds patience) noexcept;

  bool has_ended() noexcept;

  /// What faulthandler wrote.
  std::string trace() const;

 private:
  void map_memory(int memory);
  bool reap(bool block) noexcept;

  Descriptor channel_, bell_, trace_, ended_;
  SharedPage* page_ = nullptr;
  pid_t id_ = -1;
  std::optional<ExitStatus> ending_;
};

/// The frames that faulthandler wrote of the thread that crashed, or else of the main thread, outermost
/// first; with what it says in front of them as the message of "Fatal Python error".
PythonException traced_exception(std::string_view trace);

/// Where pyhost-worker is. Throws StartupFailed, which says where it was looked for.
std::filesystem::path find_worker(const std::filesystem::path& given);

}  // namespace pyhost::detail
