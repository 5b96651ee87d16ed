// Reads the progress of the worker from the shared memory.
#include "pool/process/batches_in_flight.hpp"

#include <algorithm>
#include <utility>

#include "pool/process/messages.hpp"

namespace pyhost::detail {

using namespace std::chrono_literals;

Batch& BatchesInFlight::find(std::uint64_t number) {
  for (Batch& batch : batches_) {
    if (batch.number == number) return batch;
  }
  throw BrokenFrame("it sent a frame about runs that it was not given");
}

void BatchesInFlight::keep_large(WireFrame frame) {
  Batch& batch = find(frame.number >> 32);
  const auto index = static_cast<std::uint32_t>(frame.number);
  if (index < batch.delivered || index >= batch.jobs.size())
    throw BrokenFrame("it sent a frame about a run that it was not given");
  batch.large.insert_or_assign(index, std::move(frame.content));
}

std::optional<std::size_t> BatchesInFlight::running(SharedPage& page) const {
  if (batches_.empty()) return std::nullopt;
  const Batch& front = batches_.front();
  const BatchSlot& slot = front.slot(page);
  const std::size_t finished = slot.finished.load(std::memory_order_acquire);
  const std::size_t claimed = slot.claimed();
  if (claimed != finished + 1 || claimed > front.jobs.size()) return std::nullopt;
  return finished;
}

BatchesInFlight::Clock::time_point BatchesInFlight::running_since(const Batch& batch, SharedPage& page) {
  const std::int64_t begun = batch.slot(page).begun_at.load(std::memory_order_relaxed);
  return std::min(time_of<Clock>(begun), Clock::now());
}

std::optional<BatchesInFlight::Clock::time_point> BatchesInFlight::deadline(const Batch& batch,
                                                                            const Job& job,
                                                                            SharedPage& page) {
  // Read in this order, so that a run that begins meanwhile is not mistaken for one that began long ago.
  const std::chrono::nanoseconds postponed(batch.slot(page).postponed.load(std::memory_order_acquire));
  Clock::time_point since = running_since(batch, page);
  const bool counts_import = !job.options.import_timeout;
  if (!counts_import && is_importing(batch, page)) return since + postponed + *job.options.import_timeout;
  if (!job.options.timeout) return std::nullopt;
  const std::int64_t imported_at = batch.slot(page).imported_at.load(std::memory_order_relaxed);
  if (!counts_import && imported_at > 0) since = std::min(time_of<Clock>(imported_at), Clock::now());
  return since + postponed + *job.options.timeout;
}

std::optional<BatchesInFlight::Clock::time_point> BatchesInFlight::next_timeout(SharedPage& page,
                                                                                bool is_ready) const {
  const Batch& front = batches_.front();
  std::optional<Clock::time_point> next;
  const auto add = [&](std::optional<Clock::time_point> time) {
    if (time) next = next ? std::min(*next, *time) : *time;
  };
  // For a run or an import that may begin right after the shared memory was read.
  const auto add_next = [&](const std::optional<std::chrono::milliseconds>& limit) {
    if (limit) add(Clock::now() + std::max(*limit, 1ms));
  };
  if (const auto index = running(page)) {
    const Job& job = *front.jobs[*index];
    // A run that has just begun may be about to import.
    add_next(is_importing(front, page) ? job.options.timeout : job.options.import_timeout);
    add(deadline(front, job, page));
  } else if (is_ready) {
    for (std::size_t i = front.delivered; i < front.jobs.size(); ++i) {
      add_next(front.jobs[i]->options.timeout);
      add_next(front.jobs[i]->options.import_timeout);
    }
  }
  return next;
}

bool BatchesInFlight::any_of(const std::function<bool(const Job&)>& condition) const {
  return std::ranges::any_of(batches_, [&](const Batch& batch) {
    return std::ranges::any_of(batch.jobs, [&](const auto& job) { return job && condition(*job); });
  });
}

std::deque<std::unique_ptr<Job>> BatchesInFlight::revoke(SharedPage& page) {
  std::deque<std::unique_ptr<Job>> revoked;
  for (Batch& batch : batches_) {
    const std::size_t claimed = std::min<std::size_t>(batch.slot(page).revoke(), batch.jobs.size());
    for (std::size_t i = claimed; i < batch.jobs.size(); ++i) revoked.push_back(std::move(batch.jobs[i]));
    batch.jobs.resize(claimed);
  }
  return revoked;
}

Jobs BatchesInFlight::take_all() {
  Jobs jobs;
  for (Batch& batch : std::exchange(batches_, {})) {
    for (auto& job : batch.jobs) {
      if (job) jobs.push_back(std::move(job));
    }
  }
  return jobs;
}

}  // namespace pyhost::detail
