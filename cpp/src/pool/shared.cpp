// A worker holds the GIL from one run to the next while there are runs. Otherwise two workers would pass it
// to each other at each run, which takes longer than a small run. Python makes a thread release the GIL every
// 5 ms.
#include "pool/shared.hpp"

#include <chrono>
#include <mutex>
#include <new>

#include "pool/span_buffer.hpp"
#include "python/cpp_exception.hpp"
#include "python/floating_point.hpp"
#include "python/gil.hpp"
#include "run/cancellation.hpp"
#include "run/current_run.hpp"

namespace pyhost::detail {

namespace {

using Clock = std::chrono::steady_clock;

class SharedWorker : public Worker {
 public:
  SharedWorker(Host& host, const OnSpan& on_span) : host_(host), on_span_(on_span) {}

  void work(RunQueue& queue) override {
    queue_ = &queue;
    set_thread(&CurrentRun::this_thread());
    const ThrowErrorsOnly errors_only;
    SpanBuffer spans(on_span_);
    Jobs jobs;
    while (queue.take(jobs, 1)) {
      make_all(jobs, spans);
      spans.flush();
    }
    set_thread(nullptr);
  }

  void cancel() noexcept override {
    try {
      const GilReleaseIfHeld no_gil;
      PyInterpreterState* const where = interpreter();
      if (where == nullptr) return;
      const InterpreterGilAcquire gil(where);
      const std::lock_guard lock(mutex_);
      const CurrentRun* run = thread_ != nullptr ? thread_->innermost : nullptr;
      if (run == nullptr || job_ == nullptr || !queue_->is_cancelled(*job_)) return;
      while (run->outer() != nullptr) run = run->outer();
      Cancellation::of(*run)->request(ErrorKind::Cancelled);
    } catch (const Error&) {
      // The process is ending.
    }
  }

 private:
  void make_all(Jobs& jobs, SpanBuffer& spans) {
    try {
      const GilAcquire gil;
      do {
        job_ = jobs.front().get();
        make(*jobs.front(), spans);
        job_ = nullptr;
        jobs.clear();
      } while (queue_->try_take(jobs, 1) > 0);
    } catch (const Error& ending) {
      jobs.front()->fail(ending);
      jobs.clear();
    }
  }

  // No other thread has the GIL between the check of is_stopped() and the start of the run, which cancel()
  // can find. So no cancellation is missed.
  void make(Job& job, SpanBuffer& spans) noexcept {
    spans.make_room();
    if (queue_->is_stopped(job)) {
      return job.fail(not_begun(job, ErrorKind::Cancelled));
    }
    const auto begun = Clock::now();
    spans.begin(job, begun);
    const DefaultFloatingPoint floating_point;  // an earlier module may have changed the environment
    const auto ended = [&] { job.seconds = std::chrono::duration<double>(Clock::now() - begun).count(); };
    try {
      if (job.for_json) {
        Json result = host_.run(job.module, job.state, job.options);
        ended();
        job.succeed_as_json(std::move(result));
      } else {
        std::string result = host_.run<std::string>(job.module, job.state, job.options);
        ended();
        job.succeed(std::move(result));
      }
    } catch (const Error& error) {
      ended();
      job.fail(error);
    } catch (const std::bad_alloc&) {
      ended();
      job.fail(
          Error({.kind = ErrorKind::InvalidResult,
                 .phase = Phase::Result,
                 .module = job.module,
                 .message = "there was not enough memory for the result of module '" + job.module + "'"}));
    }
  }

  PyInterpreterState* interpreter() {
    const std::lock_guard lock(mutex_);
    return thread_ != nullptr ? thread_->interpreter : nullptr;
  }

  void set_thread(CurrentRun::Thread* thread) {
    const std::lock_guard lock(mutex_);
    thread_ = thread;
  }

  Host& host_;
  const OnSpan& on_span_;
  std::mutex mutex_;
  CurrentRun::Thread* thread_ = nullptr;  // null unless work() is running
  RunQueue* queue_ = nullptr;
  const Job* job_ = nullptr;  // the job in flight; guarded by the GIL
};

}  // namespace

std::unique_ptr<Worker> make_shared_worker(Host& host, const OnSpan& on_span) {
  return std::make_unique<SharedWorker>(host, on_span);
}

}  // namespace pyhost::detail
