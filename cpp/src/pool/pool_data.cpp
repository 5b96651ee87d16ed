// Starts and ends the threads of a pool.
#include "pool/pool_data.hpp"

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>

#include "error/system_limits.hpp"
#include "python/gil.hpp"
#include "run/cancellation.hpp"
#include "run/spans.hpp"

namespace pyhost::detail {

namespace {

// The default for runs with a timeout, unless that is longer.
constexpr std::chrono::milliseconds default_import_timeout = std::chrono::seconds(60);

std::atomic<std::uint64_t> last_worker = 0;  // the last worker number, of all pools

}  // namespace

std::shared_ptr<PoolData> PoolData::of(std::shared_ptr<ShutdownHooks> host,
                                       std::vector<std::unique_ptr<Worker>> workers, Times times) {
  const auto pool = std::make_shared<PoolData>(std::move(host), std::move(workers), times);
  pool->id_ = pool->host_->add([pool] { pool->end_with_host(); });
  return pool;
}

PoolData::PoolData(std::shared_ptr<ShutdownHooks> host, std::vector<std::unique_ptr<Worker>> workers,
                   Times times)
    : host_(std::move(host)), workers_(std::move(workers)), times_(times) {
  const std::lock_guard lock(mutex_);  // until the number of threads is known
  try {
    for (const auto& worker : workers_) {
      threads_.push_back(
          start_thread([this, each = worker.get(), number = ++last_worker] { work(*each, number); }));
    }
  } catch (const Error& refused) {
    if (threads_.empty()) throw;
    // Half of the workers end again, because runs may need threads and processes of their own.
    surplus_ = threads_.size() / 2;
    report_fewer_workers(refused);
  }
  working_ = threads_.size() - surplus_;
}

PoolData::~PoolData() { join(); }

void PoolData::leave() {
  wait_without_gil([this] { host_->remove(id_); });
  close(times_.patience);
}

void PoolData::put(std::unique_ptr<Job> job) {
  RunOptions& options = job->options;
  if (!options.timeout) options.timeout = times_.timeout;
  if (options.timeout) options.timeout = clamp_wait(*options.timeout);
  if (!options.import_timeout) options.import_timeout = times_.import_timeout;
  if (!options.import_timeout && options.timeout)
    options.import_timeout = std::max(*options.timeout, default_import_timeout);
  if (options.import_timeout) options.import_timeout = clamp_wait(*options.import_timeout);
  if (options.import_timeout == std::chrono::milliseconds(0)) options.import_timeout.reset();
  options.grace = clamp_wait(options.grace);
  if (times_.reports_spans) job->put_at = std::chrono::steady_clock::now();
  queue_.put(std::move(job));
}

void PoolData::work(Worker& worker, std::uint64_t number) {
  if (is_surplus()) return;
  span_place.worker = number;
  do {
    const std::size_t before = working();
    try {
      worker.work(queue_);
    } catch (const Error& failed) {
      if (leave_to_others(failed)) return;
      if (working() == before)
        fail_next(failed);  // otherwise workers have left, and the next attempt may succeed
    }
  } while (!end_work());
}

bool PoolData::is_surplus() {
  const std::lock_guard lock(mutex_);
  if (surplus_ == 0) return false;
  --surplus_;
  return true;
}

std::size_t PoolData::working() {
  const std::lock_guard lock(mutex_);
  return working_;
}

// Lets a worker that cannot work leave, unless it is the last one. Returns whether it leaves.
bool PoolData::leave_to_others(const Error& why) {
  const std::lock_guard lock(mutex_);
  if (working_ == 1) return false;
  --working_;
  report_fewer_workers(why);
  return true;
}

void PoolData::fail_next(const Error& why) {
  Jobs jobs;
  if (queue_.take(jobs, 1)) jobs.front()->fail(why);
}

// Ends a worker, unless it is the last one and jobs are left: another worker may have returned its jobs to
// the queue and left. Returns whether the worker ends.
bool PoolData::end_work() {
  const std::lock_guard lock(mutex_);
  if (working_ == 1 && !queue_.is_over()) return false;
  --working_;
  done_.notify_all();
  return true;
}

// The caller holds the lock.
void PoolData::report_fewer_workers(const Error& why) {
  if (std::exchange(has_reported_, true)) return;
  std::fprintf(stderr, "pyhost: the pool continues with fewer workers: %s\n", why.message().c_str());
}

// In a child process that the application forked, the threads do not exist.
void PoolData::join() {
  const std::lock_guard lock(joining_);
  for (std::thread& thread : threads_) {
    if (!thread.joinable()) continue;
    python_access == PythonAccess::Forked ? thread.detach() : thread.join();
  }
}

void PoolData::check_open(std::string_view module) const {
  if (python_access == PythonAccess::Forked) throw_no_access();
  if (!closed_) return;
  const std::string whose = host_closed_ ? "the host of this pool is closed" : "the pool is closed";
  throw Error({.kind = ErrorKind::HostClosed,
               .phase = Phase::Close,
               .module = std::string(module),
               .message = "module '" + std::string(module) + "' was not run: " + whose,
               .hint = "keep the pool and its host open until the runs are over",
               .closed = host_closed_ ? Closed::Host : Closed::Pool});
}

std::size_t PoolData::width() const noexcept {
  std::size_t sum = 0;
  for (const auto& worker : workers_) sum += worker->width();
  return sum;
}

std::size_t PoolData::runs_ahead() const noexcept {
  std::size_t sum = 0;
  for (const auto& worker : workers_) sum += worker->runs_ahead();
  return sum;
}

void PoolData::cancel_waiting() {
  for (const std::unique_ptr<Job>& job : queue_.remove_all())
    job->fail(not_begun(*job, ErrorKind::Cancelled));
}

void PoolData::cancel() {
  queue_.cancel_taken();
  cancel_waiting();
  for (const std::unique_ptr<Worker>& worker : workers_) worker->cancel();
}

bool PoolData::close(std::chrono::milliseconds patience) {
  closed_ = true;
  if (python_access == PythonAccess::Forked) return false;
  queue_.close();
  return wait_without_gil([&] {
    std::unique_lock lock(mutex_);
    const bool in_time = done_.wait_for(lock, std::min(patience, max_wait), [this] { return working_ == 0; });
    lock.unlock();
    if (!in_time) cancel();
    join();
    return in_time;
  });
}

void PoolData::end_with_host() {
  host_closed_ = true;
  close(std::chrono::milliseconds(0));
}

Error PoolData::final_error(const Error& error) const {
  if (!host_closed_ || error.kind() != ErrorKind::Cancelled) return error;
  return Error({.kind = ErrorKind::HostClosed,
                .phase = error.phase(),
                .module = error.module(),
                .message = error.message() + ": its host was closed",
                .hint = "keep the host open until the runs of its pools are over",
                .place = error.place(),
                .exception = error.exception(),
                .closed = Closed::Host});
}

}  // namespace pyhost::detail
