// The life of a pool: its threads begin and end here.
#include "pool/pool_data.hpp"

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

#include "python/gil.hpp"
#include "run/cancellation.hpp"
#include "run/spans.hpp"

namespace pyhost::detail {

namespace {

constexpr std::chrono::milliseconds default_import_timeout = std::chrono::seconds(60);  // or the timeout

std::atomic<std::uint64_t> last_worker = 0;  // of all pools

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
  working_ = workers_.size();
  try {
    for (const auto& worker : workers_) {
      threads_.emplace_back([this, each = worker.get(), number = ++last_worker] { work(*each, number); });
    }
  } catch (const std::system_error& failed) {
    const std::size_t made = threads_.size();
    queue_.close();
    join();
    throw Error({.kind = ErrorKind::StartupFailed,
                 .phase = Phase::Start,
                 .message = "no more than " + std::to_string(made) + " threads could be made for " +
                            std::to_string(workers_.size()) + " workers: " + failed.what(),
                 .hint = "open the pool with fewer workers"});
  }
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
  span_place.worker = number;
  try {
    worker.work(queue_);
  } catch (const Error& failed) {
    if (leave_to_others()) return;
    fail_what_comes(failed);
  }
  const std::lock_guard lock(mutex_);
  --working_;
  done_.notify_all();
}

// False for the last one.
bool PoolData::leave_to_others() {
  const std::lock_guard lock(mutex_);
  if (working_ == 1) return false;
  --working_;
  return true;
}

void PoolData::fail_what_comes(const Error& why) {
  Jobs jobs;
  while (queue_.take(jobs, 1)) {
    jobs.front()->fail(why);
    jobs.clear();
  }
}

// In a child that the application forked, the threads are not there.
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

void PoolData::cancel_waiting() {
  for (const std::unique_ptr<Job>& job : queue_.empty()) job->fail(not_begun(*job, ErrorKind::Cancelled));
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
