// Supervises the worker process of one thread of a pool: starts it, takes its results, and handles a worker
// that is slow, stuck or dead.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "host/host_internals.hpp"
#include "pool/process/backlog.hpp"
#include "pool/process/batch.hpp"
#include "pool/process/batches_in_flight.hpp"
#include "pool/process/descriptor.hpp"
#include "pool/process/lost_run.hpp"
#include "pool/process/oom_kills.hpp"
#include "pool/process/process_link.hpp"
#include "pool/process/service_answers.hpp"
#include "pool/process/span_records.hpp"
#include "pool/process/wire_frames.hpp"

namespace pyhost::detail {

/// The data that the workers of a pool share.
struct PoolContext {
  HostInternals host;
  std::filesystem::path program;
  std::string start_message;
  std::uint64_t max_runs;          ///< The limit for one process; 0 if there is none.
  std::atomic<int> processes = 0;  ///< The number of live processes.
  std::atomic<std::uint64_t> known_oom_kills = oom_kills();

  /// Returns whether the kernel's out-of-memory killer has killed a process that no call has reported yet.
  bool take_oom_kill() {
    std::uint64_t known = known_oom_kills;
    while (known < oom_kills()) {
      if (known_oom_kills.compare_exchange_weak(known, known + 1)) return true;
    }
    return false;
  }
};

/// Thrown if no process could be started. It is not a std::exception, because those mean that a worker broke
/// the protocol.
struct NoProcess {
  Error why;
};

/// One worker process at a time, which is replaced when it ends, and the batches in flight. Used by one
/// thread, except wake().
class WorkerSupervisor {
 public:
  using Clock = std::chrono::steady_clock;

  /// Runs that the worker has not begun return to the backlog, which must outlive this object.
  WorkerSupervisor(std::shared_ptr<PoolContext> context, Backlog& backlog);

  /// Interrupts the wait in poll(). Any thread may call it.
  void wake() noexcept;

  bool has_process() const noexcept { return link_.has_value(); }
  bool is_idle() const noexcept { return in_flight_.empty(); }

  /// Returns whether the worker can be sent another batch while it executes one.
  bool can_take_second_batch() const;

  /// Returns the number of runs that the process, or the next one, can be sent before it is replaced.
  std::size_t runs_left() const;

  /// Whether any process of this supervisor was ever ready.
  bool has_worked() const noexcept { return has_worked_; }

  /// Throws NoProcess.
  void start_process();

  /// Sends a batch to the process, which must have been started.
  void send(Batch batch);

  /// Waits until something happens to the runs in flight, and handles it. Throws NoProcess if processes
  /// repeatedly fail to start. Then no run is in flight, and those that were are in the backlog.
  void poll();

  /// Handles the frames of a worker without runs, and drops a worker that has ended.
  void check_idle_worker();

  /// Lets the worker unload its modules and exit, and handles its frames until then. Kills it if it takes too
  /// long.
  void end_process();

  /// Fails the runs in flight, and those in the backlog.
  void fail_all(const Error& error) { backlog_.fail_all(in_flight_.take_all(), error); }

 private:
  SharedPage& page() { return link_->process().page(); }
  auto frame_handler() {
    return [this](WireFrame frame) { handle_frame(std::move(frame)); };
  }
  void drop_process();

  std::optional<Clock::time_point> next_check();
  bool check_worker();
  std::optional<Clock::time_point> stall_deadline();
  void restart_progress_checks(Clock::time_point now);
  void check_progress(Clock::time_point now);

  void revoke();
  bool drop_cancelled_runs();
  bool kill_running(ErrorKind why);

  void handle_frame(WireFrame frame);
  void finish_batch(const WireFrame& frame);

  void handle_death(std::string broken, std::optional<ErrorKind> killed = std::nullopt);
  bool deliver_and_fail_rest(const ExitStatus& exit_status, std::string& broken,
                             std::optional<ErrorKind> killed);
  void fail_lost(Job& job, Clock::time_point begun, const Loss& loss);

  std::shared_ptr<PoolContext> context_;
  ProcessSpans spans_;
  Descriptor wakeup_;
  Backlog& backlog_;
  BatchesInFlight in_flight_;
  std::uint64_t last_batch_ = 0;

  std::optional<ProcessLink> link_;
  std::uint64_t process_number_ = 0;
  Clock::time_point started_;
  bool ready_ = false;
  bool has_worked_ = false;
  bool retiring_ = false;  // the worker gets no more runs
  bool revoked_ = false;   // the worker gets no more runs until those in flight are done
  std::uint64_t runs_sent_ = 0;
  int failed_starts_ = 0;
  std::optional<Error> not_started_;  // the worker's own error
  std::optional<Clock::time_point> kill_at_;
  std::optional<Clock::time_point> idle_since_;  // since when the worker has runs and executes none
  std::uint64_t claimed_when_idle_ = 0;
  Clock::duration progress_interval_ = {};
  Clock::time_point next_progress_check_;

  ServiceAnswers answers_;  // the last member: its threads use the others
};

}  // namespace pyhost::detail
