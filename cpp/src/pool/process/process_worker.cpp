// Takes jobs from the pool's queue, and sends them in batches to a supervised worker process.
#include "pool/process/process_worker.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <thread>
#include <utility>

#include "pool/cores.hpp"
#include "pool/process/backlog.hpp"
#include "pool/process/batch.hpp"
#include "pool/process/messages.hpp"
#include "pool/process/wire_frames.hpp"
#include "pool/process/worker_process.hpp"
#include "pool/process/worker_supervisor.hpp"

namespace pyhost::detail {

namespace {

class ProcessWorker : public Worker {
 public:
  ProcessWorker(std::shared_ptr<PoolContext> context, bool starts_at_once)
      : context_(std::move(context)), starts_at_once_(starts_at_once), supervisor_(context_, backlog_) {}

  void work(RunQueue& queue) override {
    backlog_.set_queue(&queue);
    try {
      if (starts_at_once_) supervisor_.start_process();  // before the first run comes
    } catch (const NoProcess&) {
      // The first run tries again, and reports the error.
    }
    while (true) {
      try {
        if (!send_batches()) break;
        if (!supervisor_.is_idle()) supervisor_.poll();
      } catch (const NoProcess& failed) {
        handle_missing_process(failed.why);
      } catch (const Error& error) {
        supervisor_.fail_all(error);
      }
    }
    supervisor_.end_process();
    backlog_.set_queue(nullptr);
  }

  void cancel() noexcept override { supervisor_.wake(); }

 private:
  // Takes jobs and sends them while the worker can take more. Returns false once there are no more jobs.
  bool send_batches() {
    while (may_send()) {
      if (backlog_.empty()) {
        if (supervisor_.is_idle()) {
          if (!wait_for_jobs()) return false;
        } else if (!backlog_.try_take()) {
          break;
        }
      }
      if (!send_batch() && !backlog_.empty()) break;  // the next job waits until those in flight are done
      if (backlog_.batch_limit() == 1) break;
    }
    return true;
  }

  // Returns false once there are no more jobs.
  bool wait_for_jobs() {
    if (!supervisor_.has_process()) return backlog_.take(RunQueue::Readiness::NotStarted, {});
    return backlog_.take(RunQueue::Readiness::Started, [this] { supervisor_.check_idle_worker(); });
  }

  bool may_send() const {
    if (supervisor_.is_idle()) return true;
    return backlog_.batch_limit() > 1 && supervisor_.can_take_second_batch();
  }

  // Returns false if nothing can be sent now.
  bool send_batch() {
    Batch batch = backlog_.next_batch(supervisor_.runs_left(), !supervisor_.is_idle());
    if (batch.jobs.empty()) return false;
    if (supervisor_.is_idle()) supervisor_.check_idle_worker();  // no run must be sent to a dead process
    if (!supervisor_.has_process()) {
      try {
        supervisor_.start_process();
      } catch (const NoProcess&) {
        backlog_.put_first(
            {std::make_move_iterator(batch.jobs.begin()), std::make_move_iterator(batch.jobs.end())});
        throw;
      }
    }
    supervisor_.send(std::move(batch));
    return true;
  }

  // A worker that never had a process gives up: the system has no room for it. A worker that had a process
  // fails its jobs if no other worker has a process. Otherwise it tries again later.
  void handle_missing_process(const Error& why) {
    constexpr std::chrono::milliseconds pause(100);
    if (supervisor_.has_worked() && context_->processes == 0) return supervisor_.fail_all(why);
    backlog_.return_to_queue();
    if (!supervisor_.has_worked()) throw why;
    std::this_thread::sleep_for(pause);
  }

  std::shared_ptr<PoolContext> context_;
  const bool starts_at_once_;
  Backlog backlog_;
  WorkerSupervisor supervisor_;
};

}  // namespace

std::vector<std::unique_ptr<Worker>> make_process_workers(const HostInternals& host,
                                                          const PoolOptions& options, std::size_t count) {
  const WorkerLimits limits{.memory_limit = options.memory_limit,
                            .max_resident = options.max_resident,
                            .library_threads = std::max<std::size_t>(usable_cores() / count, 1)};
  const std::shared_ptr<PoolContext> context(new PoolContext{
      host, find_worker(options.worker), json_frame_text(FrameKind::Start, 0, start_message(host, limits)),
      options.max_runs_per_worker});
  std::vector<std::unique_ptr<Worker>> workers;
  // One process starts before the first run. Each other one starts when there is a run for it.
  try {
    for (std::size_t i = 0; i < count; ++i)
      workers.push_back(std::make_unique<ProcessWorker>(context, i == 0));
  } catch (const Error&) {
    if (workers.size() < 2) throw;
    workers.resize(workers.size() / 2);  // leaves descriptors for the worker processes
  }
  return workers;
}

}  // namespace pyhost::detail
