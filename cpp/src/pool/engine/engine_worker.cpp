// Takes jobs from the pool's queue in chunks that take at least a second, and keeps two chunks in flight for
// each slot of the engine.
#include "pool/engine/engine_worker.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "interpreter/python_discovery.hpp"
#include "pool/engine/chunk.hpp"
#include "pool/engine/engine_driver.hpp"
#include "pyhost/json.hpp"

namespace pyhost::detail {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t first_chunk_size = 1;  // so that a few slow states are spread over all workers
constexpr std::size_t max_chunk_size = 10'000;
constexpr std::size_t max_chunk_bytes = std::size_t{4} << 20;
constexpr double least_seconds = 1;  // that a chunk should take
constexpr double most_chunks = 200;  // per second, in all slots; Dask and Ray manage a few hundred
constexpr double wanted_bytes = std::size_t{16} << 20;  // of a chunk's outcomes
constexpr std::size_t chunks_per_slot = 2;

class EngineWorker : public Worker {
 public:
  EngineWorker(const HostInternals& host, const PoolOptions& options)
      : options_(options), common_(common_order(options)), driver_(host, options), slots_(driver_.slots()) {}

  std::size_t width() const noexcept override { return slots_; }
  std::size_t runs_ahead() const noexcept override {
    return std::max<std::size_t>(slots_, 1) * std::max<std::size_t>(256, (chunks_per_slot + 1) * chunk_size_);
  }

  void work(RunQueue& queue) override {
    queue_ = &queue;
    while (true) {
      try {
        if (!submit_chunks()) break;
        if (!chunks_.empty()) collect();
        report();
        drop_cancelled();
      } catch (const Error& error) {
        fail_all(error);
      }
    }
  }

  // work() sees the cancellation when its thread wakes up the next time.
  void cancel() noexcept override {}

 private:
  // Returns the part that all orders share. Workers refuse an order of another version.
  static Json common_order(const PoolOptions& options) {
    return {{"pyhost", PYHOST_VERSION},
            {"python", built_version()},
            {"isolation", to_string(options.isolation)},
            {"memory_limit", options.memory_limit},
            {"max_runs_per_worker", options.max_runs_per_worker},
            {"max_resident", options.max_resident}};
  }

  // Returns false once there are no more jobs.
  bool submit_chunks() {
    while (chunks_.size() < std::max<std::size_t>(slots_, 1) * chunks_per_slot) {
      if (next_.empty()) {
        const bool got =
            chunks_.empty() ? queue_->take(next_, chunk_size_) : queue_->try_take(next_, chunk_size_) > 0;
        if (!got) return !chunks_.empty();
      }
      submit_chunk();
    }
    return true;
  }

  // Submits the first jobs of next_ as a chunk. Jobs that cannot share a chunk with the first one, and jobs
  // that would make the chunk too large, are left for the next chunk.
  void submit_chunk() {
    Jobs jobs;
    const Job& first = *next_.front();
    Json order = order_of(first);
    order.update(common_);
    std::size_t bytes = 0, count = 0;
    for (; count < next_.size(); ++count) {
      const Job& job = *next_[count];
      bytes += job.state.size();
      if (count > 0 && (bytes > max_chunk_bytes || !can_share_chunk(job, first))) break;
    }
    std::move(next_.begin(), next_.begin() + static_cast<std::ptrdiff_t>(count), std::back_inserter(jobs));
    next_.erase(next_.begin(), next_.begin() + static_cast<std::ptrdiff_t>(count));
    const std::string lines = lines_of(jobs);
    Jobs& kept = chunks_[++last_chunk_] = std::move(jobs);
    if (queue_->is_stopped(*kept.front())) return;  // drop_cancelled() fails it
    driver_.submit(last_chunk_, order.dump(), lines);
  }

  void collect() {
    for (auto& [number, answer] : driver_.wait(100ms)) {
      const auto chunk = chunks_.extract(number);
      if (chunk.empty()) continue;
      Jobs jobs = std::move(chunk.mapped());
      const auto count = static_cast<double>(jobs.size());
      const auto bytes = static_cast<double>(answer.size());
      adapt_chunk_size(count, std::max(deliver(jobs, answer) / wanted_seconds(), bytes / wanted_bytes));
    }
    slots_ = driver_.slots();
  }

  double wanted_seconds() const {
    return std::max(least_seconds, static_cast<double>(slots_.load()) / most_chunks);
  }

  // Adapts the size to the last chunk, which had `count` states. `share` is the time that it took as a
  // fraction of the wanted time, or the same for its bytes, whichever is larger.
  void adapt_chunk_size(double count, double share) {
    if (count < static_cast<double>(chunk_size_) / 2) return;  // too few states to be a measure
    const double wanted = share > 0 ? count / share : static_cast<double>(max_chunk_size);
    const std::size_t grown = std::min<std::size_t>(2 * chunk_size_, max_chunk_size);
    chunk_size_ = std::clamp<std::size_t>(static_cast<std::size_t>(wanted), 1, grown);
  }

  void report() {
    for (const std::string& line : driver_.notices()) {
      if (options_.on_engine) options_.on_engine(line);
    }
  }

  // Fails the jobs of cancelled chunks. Their runs are cancelled only if all chunks are; otherwise they
  // continue, and their outcomes are ignored.
  void drop_cancelled() {
    const auto is_dropped = [this](const auto& chunk) { return queue_->is_stopped(*chunk.second.front()); };
    if (std::ranges::none_of(chunks_, is_dropped)) return;
    if (std::ranges::all_of(chunks_, is_dropped)) driver_.cancel();
    std::erase_if(chunks_, [&](auto& chunk) {
      if (!is_dropped(chunk)) return false;
      for (const auto& job : chunk.second) job->fail(not_begun(*job, ErrorKind::Cancelled));
      return true;
    });
  }

  void fail_all(const Error& error) {
    for (auto& [number, jobs] : std::exchange(chunks_, {})) {
      for (const auto& job : jobs) job->fail(error);
    }
    for (const auto& job : std::exchange(next_, {})) job->fail(error);
  }

  const PoolOptions options_;
  const Json common_;
  EngineDriver driver_;
  std::atomic<std::size_t> slots_;
  RunQueue* queue_ = nullptr;
  Jobs next_;                             // taken from the queue, but not submitted yet
  std::map<std::uint64_t, Jobs> chunks_;  // in flight, by number
  std::uint64_t last_chunk_ = 0;
  std::atomic<std::size_t> chunk_size_ = first_chunk_size;
};

}  // namespace

std::unique_ptr<Worker> make_engine_worker(const HostInternals& host, const PoolOptions& options) {
  return std::make_unique<EngineWorker>(host, options);
}

}  // namespace pyhost::detail
