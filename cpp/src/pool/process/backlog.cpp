// Decides which runs are sent together.
#include "pool/process/backlog.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>

#include "pool/process/wire_frames.hpp"

namespace pyhost::detail {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto batch_time = 500us;
constexpr std::size_t max_batch_runs = 1024;

}  // namespace

bool Backlog::take(RunQueue::Readiness readiness, const std::function<void()>& idle) {
  Jobs taken;
  if (!queue_->take(taken, batch_limit_, readiness, idle)) return false;
  append(std::move(taken));
  return true;
}

bool Backlog::try_take() {
  Jobs taken;
  if (queue_->try_take(taken, batch_limit_) == 0) return false;
  append(std::move(taken));
  return true;
}

void Backlog::append(Jobs jobs) {
  for (auto& job : jobs) jobs_.push_back(std::move(job));
}

Batch Backlog::next_batch(std::size_t max_runs, bool others_in_flight) {
  Batch batch;
  std::size_t bytes = 0;
  const std::size_t limit = std::min(batch_limit_, max_runs);
  while (!jobs_.empty() && batch.jobs.size() < limit) {
    Job& job = *jobs_.front();
    if (const auto refusal = refusal_of(job)) {
      job.fail(*refusal);
      jobs_.pop_front();
      continue;
    }
    // A large state is sent alone and without a copy: the worker reads it at once.
    const bool is_large = job.state.size() > Batch::max_copied_bytes;
    bytes += job.state.size() + job.module.size();
    if (!batch.jobs.empty() && bytes > Batch::max_copied_bytes) break;
    if (is_large && others_in_flight) break;
    batch.jobs.push_back(std::move(jobs_.front()));
    jobs_.pop_front();
  }
  return batch;
}

// Returns the error of a job that must not begin; nothing if it may begin.
std::optional<Error> Backlog::refusal_of(const Job& job) const {
  if (is_cancelled(job)) return not_begun(job, ErrorKind::Cancelled);
  if (job.options.timeout && *job.options.timeout <= 0ms) return not_begun(job, ErrorKind::TimedOut);
  if (Batch::size_of(job) <= longest_content) return std::nullopt;
  return Error({.kind = ErrorKind::InvalidState,
                .phase = Phase::Create,
                .module = job.module,
                .message = "the state of module '" + job.module + "' has " +
                           std::to_string(job.state.size()) +
                           " bytes, but a worker process takes 4 GiB at most",
                .hint = "write the data to a file, and pass its name in the state"});
}

void Backlog::put_first(std::deque<std::unique_ptr<Job>> jobs) {
  for (auto& job : jobs_) jobs.push_back(std::move(job));
  jobs_ = std::move(jobs);
}

void Backlog::return_to_queue(Jobs first) {
  for (auto& job : std::exchange(jobs_, {})) first.push_back(std::move(job));
  queue_->put_back(std::move(first));
}

void Backlog::fail_cancelled() {
  for (auto at = jobs_.begin(); at != jobs_.end();) {
    if (!is_cancelled(**at)) {
      ++at;
      continue;
    }
    (*at)->fail(not_begun(**at, ErrorKind::Cancelled));
    at = jobs_.erase(at);
  }
}

void Backlog::fail_all(Jobs others, const Error& error) {
  append(std::move(others));
  for (const auto& job : std::exchange(jobs_, {})) {
    Error::Data data{.kind = error.kind(),
                     .phase = error.phase(),
                     .module = job->module,
                     .message = error.message(),
                     .hint = error.hint(),
                     .place = error.place(),
                     .exception = error.exception()};
    job->fail(Error(std::move(data)));
  }
}

void Backlog::adapt_batch_limit(const Batch& batch, std::size_t finished) {
  const auto each = (Clock::now() - batch.sent) / static_cast<std::int64_t>(finished);
  const auto fitting = static_cast<std::size_t>(
      std::max<std::int64_t>(1, Clock::duration(batch_time) / std::max<Clock::duration>(each, 1ns)));
  batch_limit_ = std::min({fitting, 2 * finished, max_batch_runs});
}

}  // namespace pyhost::detail
