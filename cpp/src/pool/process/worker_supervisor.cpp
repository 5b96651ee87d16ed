// One thread waits for the worker, for the deadlines of its runs, and for cancellations.
#include "pool/process/worker_supervisor.hpp"

#include <sys/eventfd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <limits>
#include <string_view>

#include "error/duration_text.hpp"
#include "error/error_json.hpp"
#include "error/system_limits.hpp"
#include "pool/process/host_forwarding.hpp"
#include "run/events.hpp"

namespace pyhost::detail {

namespace {

using namespace std::chrono_literals;

constexpr auto first_progress_check = 1ms;    // after a batch was sent
constexpr auto max_progress_interval = 16ms;  // the interval doubles up to this
constexpr auto slow_run_time = 5ms;           // of a run; then those behind it are taken back
constexpr auto start_timeout = 60s;           // of a worker
constexpr auto end_timeout = 1500ms;  // of a worker, in addition to the shutdown timeout of its modules
constexpr auto stall_timeout = 10s;   // within which a worker must begin a run that it was sent
constexpr int max_failed_starts = 3;  // in a row, of workers that end before they begin a run

std::atomic<std::uint64_t> last_process = 0;  // shared by all pools

// Reports a worker that failed after its last run. No run fails, because all have their outcomes.
void report_failed_end(const ExitStatus& ending) {
  if (!ending.known || (ending.signal == 0 && ending.status == 0)) return;
  std::fprintf(
      stderr,
      "pyhost: a worker process ended with %s after its last run: its modules may not have cleaned up\n",
      to_string(ending).c_str());
}

}  // namespace

WorkerSupervisor::WorkerSupervisor(std::shared_ptr<PoolContext> context, Backlog& backlog)
    : context_(std::move(context)),
      spans_(context_->host.options.callbacks.on_span),
      wakeup_(require_from_system(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                                  "no eventfd to wake a worker's thread could be made")),
      backlog_(backlog),
      answers_(context_->host.services, [this] { wake(); }) {}

void WorkerSupervisor::wake() noexcept { static_cast<void>(eventfd_write(wakeup_.get(), 1)); }

bool WorkerSupervisor::can_take_second_batch() const {
  return in_flight_.size() < 2 && !retiring_ && !revoked_ && link_ && link_->is_sent() &&
         context_->max_runs == 0;
}

std::size_t WorkerSupervisor::runs_left() const {
  if (context_->max_runs == 0) return std::numeric_limits<std::size_t>::max();
  return context_->max_runs - (link_ ? runs_sent_ : 0);
}

void WorkerSupervisor::send(Batch batch) {
  batch.number = ++last_batch_;
  batch.sent = Clock::now();
  batch.slot(page()).clear();
  for (const auto& job : batch.jobs) {
    if (job->options.stop.stop_possible())
      batch.stops.push_back(std::make_unique<Batch::OnStop>(job->options.stop, [this] { wake(); }));
  }
  if (spans_) {
    batch.on_spans = [this](const Job& job, std::string_view records) {
      spans_.completed(job, process_number_, records);
    };
    link_->on_sent = [this, module = batch.jobs.front()->module, runs = batch.jobs.size(),
                      begun = batch.sent] { spans_.sent(module, runs, begun); };
  }
  batch.send(*link_);
  runs_sent_ += batch.jobs.size();
  if (context_->max_runs > 0 && runs_sent_ >= context_->max_runs) retiring_ = true;
  restart_progress_checks(batch.sent);
  in_flight_.add(std::move(batch));
}

void WorkerSupervisor::poll() {
  try {
    if (!link_->wait(wakeup_.get(), next_check(), frame_handler())) return handle_death({});
    if (!check_worker()) return;
  } catch (const std::exception& broken) {  // a BrokenFrame, or JSON that no worker sends
    return handle_death(broken.what());
  }
  if (!in_flight_.empty() || !retiring_) return;
  const bool is_hopeless = failed_starts_ >= max_failed_starts;
  if (!is_hopeless) backlog_.return_to_queue();  // the worker may take long to end
  end_process();
  if (is_hopeless) throw NoProcess{no_worker({}, "it cannot open any files")};
}

// Returns when check_worker() must be called even if the worker sends nothing.
std::optional<WorkerSupervisor::Clock::time_point> WorkerSupervisor::next_check() {
  std::optional<Clock::time_point> next;
  const auto add = [&](std::optional<Clock::time_point> time) {
    if (time) next = next ? std::min(*next, *time) : *time;
  };
  if (!ready_) add(started_ + start_timeout);
  add(kill_at_);
  add(stall_deadline());
  add(in_flight_.next_timeout(page(), ready_));
  const Batch& front = in_flight_.front();
  const bool others_wait =
      front.jobs.size() - front.delivered > 1 || in_flight_.size() > 1 || !backlog_.empty();
  // While a batch is being sent, stall_deadline() returns nothing, so it must be called again.
  if (others_wait || !link_->is_sent()) add(next_progress_check_);
  return next;
}

// Handles everything that is due now. Returns false if the worker is gone.
bool WorkerSupervisor::check_worker() {
  eventfd_t woken = 0;
  if (eventfd_read(wakeup_.get(), &woken) == 0) {
    answers_.send(process_number_, *link_);
    if (!drop_cancelled_runs()) return false;
  }
  if (in_flight_.empty()) return true;
  const auto now = Clock::now();
  if (!ready_ && now >= started_ + start_timeout) {
    handle_death("it was not ready within a minute");
    return false;
  }
  if (const auto deadline = stall_deadline(); deadline && now >= *deadline) {
    handle_death("it did not begin a run within " + in_seconds(stall_timeout));
    return false;
  }
  if (kill_at_ && now >= *kill_at_) return !kill_running(ErrorKind::Cancelled);
  if (const auto index = in_flight_.running(page())) {
    const Batch& front = in_flight_.front();
    const auto deadline = BatchesInFlight::deadline(front, *front.jobs[*index], page());
    if (deadline && now >= *deadline) return !kill_running(ErrorKind::TimedOut);
  }
  if (now >= next_progress_check_) check_progress(now);
  return true;
}

// Returns when the worker counts as stalled if it has begun no run by then; nothing while it executes a run.
std::optional<WorkerSupervisor::Clock::time_point> WorkerSupervisor::stall_deadline() {
  if (!ready_ || !link_->is_sent() || in_flight_.running(page())) {
    idle_since_.reset();
    return std::nullopt;
  }
  const Batch& front = in_flight_.front();
  const std::uint64_t claimed = place_in_batch(front.number, front.slot(page()).claimed());
  if (!idle_since_ || claimed != claimed_when_idle_) idle_since_ = Clock::now();
  claimed_when_idle_ = claimed;
  return *idle_since_ + stall_timeout;
}

void WorkerSupervisor::restart_progress_checks(Clock::time_point now) {
  progress_interval_ = first_progress_check;
  next_progress_check_ = now + progress_interval_;
}

// Delivers the outcomes that are ready, and takes back the runs that wait behind a slow one.
void WorkerSupervisor::check_progress(Clock::time_point now) {
  progress_interval_ = std::min<Clock::duration>(2 * progress_interval_, max_progress_interval);
  next_progress_check_ = now + progress_interval_;
  const std::size_t finished = in_flight_.front().slot(page()).finished.load(std::memory_order_acquire);
  const std::uint64_t number = in_flight_.front().number;
  // Frames that were sent before these outcomes must be handled first.
  if (link_->receive(frame_handler()) != FrameReader::Got::Nothing) return;
  if (in_flight_.empty() || in_flight_.front().number != number) return;
  in_flight_.front().deliver(page(), finished);
  const bool is_slow = in_flight_.running(page()) &&
                       now - BatchesInFlight::running_since(in_flight_.front(), page()) >= slow_run_time;
  if (!revoked_ && is_slow && link_->is_sent()) {
    revoke();
    backlog_.reset_batch_limit();
    backlog_.return_to_queue();
  }
}

// Takes back the runs that the worker has not begun. It is sent no more until those in flight are done.
void WorkerSupervisor::revoke() {
  revoked_ = true;
  auto jobs = in_flight_.revoke(page());
  runs_sent_ -= jobs.size();
  backlog_.put_first(std::move(jobs));
}

// Fails the runs that were cancelled. Returns false if that ended the worker.
bool WorkerSupervisor::drop_cancelled_runs() {
  if (!in_flight_.any_of([this](const Job& job) { return backlog_.is_cancelled(job); })) return true;
  const bool is_only_one = in_flight_.size() == 1 && in_flight_.front().jobs.size() == 1;
  if (is_only_one && !link_->is_sent() && !in_flight_.running(page())) {  // a large state, partly sent
    handle_death({}, ErrorKind::Cancelled);
    return false;
  }
  revoke();
  backlog_.fail_cancelled();
  backlog_.return_to_queue();
  const auto index = in_flight_.running(page());
  if (!index || kill_at_) return true;
  const Job& job = *in_flight_.front().jobs[*index];
  if (!backlog_.is_cancelled(job)) return true;
  page().cancelled = place_in_batch(in_flight_.front().number, *index) + 1;
  link_->process().wake_worker();
  kill_at_ = Clock::now() + job.options.grace;
  return true;
}

// Kills the worker because of its current run. Returns false if that run has already ended.
bool WorkerSupervisor::kill_running(ErrorKind why) {
  revoke();
  if (!in_flight_.running(page())) {
    kill_at_.reset();
    return false;
  }
  link_->process().request_stack_dump();
  handle_death({}, why);
  return true;
}

void WorkerSupervisor::handle_frame(WireFrame frame) {
  if (frame.missing > 0)
    throw BrokenFrame("it sent a frame that is too large for the memory of this process");
  switch (frame.kind) {
    case FrameKind::Ready:
      ready_ = has_worked_ = true;
      return spans_.started(started_, frame.number);
    case FrameKind::NotStarted:
      not_started_ = error_from_json(json_of(frame));
      return;
    case FrameKind::Outcome:
      return in_flight_.keep_large(std::move(frame));
    case FrameKind::Done:
      return finish_batch(frame);
    case FrameKind::Question:
      return answers_.begin(process_number_, frame);
    default:
      if (!forward_to_host(context_->host, process_number_, frame))
        throw BrokenFrame("it sent a frame of a kind that no worker sends");
  }
}

void WorkerSupervisor::finish_batch(const WireFrame& frame) {
  if (in_flight_.empty() || in_flight_.front().number != frame.number)
    throw BrokenFrame("it sent a frame about runs that it was not given");
  Batch& batch = in_flight_.front();
  const std::size_t finished = batch.slot(page()).finished.load(std::memory_order_acquire);
  batch.deliver(page(), finished);
  if (frame.content == retiring_content) {
    retiring_ = true;
    revoke();
  }
  if (batch.delivered < batch.jobs.size()) throw BrokenFrame("it reported runs as finished that are not");
  failed_starts_ = retiring_ && finished == 0 ? failed_starts_ + 1 : 0;
  kill_at_.reset();
  if (finished > 0 && !revoked_) backlog_.adapt_batch_limit(batch, finished);
  in_flight_.remove_front();
  if (in_flight_.empty()) revoked_ = false;
  restart_progress_checks(Clock::now());
  if (!in_flight_.empty()) in_flight_.front().sent = Clock::now();
}

void WorkerSupervisor::start_process() {
  try {
    link_.emplace(context_->program, context_->start_message);
  } catch (const Error& refused) {
    throw NoProcess{refused};
  }
  ++context_->processes;
  process_number_ = ++last_process;
  started_ = Clock::now();
  ready_ = retiring_ = revoked_ = false;
  runs_sent_ = 0;
  kill_at_.reset();
  idle_since_.reset();
  not_started_.reset();
}

void WorkerSupervisor::drop_process() {
  if (link_) --context_->processes;
  link_.reset();
}

void WorkerSupervisor::check_idle_worker() {
  if (!link_) return;
  try {
    answers_.send(process_number_, *link_);
    if (link_->wait(-1, Clock::now(), frame_handler())) return;
  } catch (const std::exception&) {
    // No run is in flight that could fail because of it.
  }
  drop_process();
}

void WorkerSupervisor::end_process() {
  if (!link_) return;
  try {
    link_->put(frame_text(FrameKind::End, 0, std::string_view()));
    const auto until = Clock::now() + context_->host.options.shutdown_timeout + end_timeout;
    while (Clock::now() < until && link_->wait(wakeup_.get(), until, frame_handler())) {
      eventfd_t woken = 0;
      if (eventfd_read(wakeup_.get(), &woken) == 0) answers_.send(process_number_, *link_);
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
    if (link_->process().ends_within(left) && ready_) report_failed_end(link_->process().kill());
  } catch (const std::exception&) {
    // No run is in flight that could fail because of it.
  }
  drop_process();
}

// The worker is dead, or must be killed. Outcomes that are ready are delivered. At most one run had begun and
// has no outcome: it fails. Runs that had not begun are sent to the next worker.
void WorkerSupervisor::handle_death(std::string broken, std::optional<ErrorKind> killed) {
  if (!killed && broken.empty() && !link_->process().ends_within(200ms)) broken = "it closed its channel";
  ExitStatus exit_status = link_->process().kill();
  exit_status.of_oom_killer =
      !killed && broken.empty() && exit_status.signal == SIGKILL && context_->take_oom_kill();
  try {
    while (link_->receive(frame_handler()) == FrameReader::Got::Bytes) {
    }
  } catch (const std::exception& failed) {
    if (broken.empty() && !killed) broken = failed.what();
  }
  if (broken.empty() && !killed && link_->is_within_frame()) broken = "it sent an incomplete frame";
  if (in_flight_.empty()) return drop_process();
  revoke();
  const bool lost_one = deliver_and_fail_rest(exit_status, broken, killed);
  in_flight_.clear();
  backlog_.reset_batch_limit();
  const bool is_blameless = lost_one || killed;  // it had begun a run, or was killed by this pool
  failed_starts_ = is_blameless ? 0 : failed_starts_ + 1;
  const std::optional<Error> why = std::exchange(not_started_, std::nullopt);
  drop_process();
  if (is_blameless || (!why && failed_starts_ < max_failed_starts)) return;
  failed_starts_ = 0;
  throw NoProcess{why ? *why : no_worker(exit_status, broken)};
}

// Delivers the outcomes that are ready, and fails the other runs. Sets `broken` if an outcome is broken.
// Returns whether a run failed.
bool WorkerSupervisor::deliver_and_fail_rest(const ExitStatus& exit_status, std::string& broken,
                                             std::optional<ErrorKind> killed) {
  bool lost_one = false;
  for (Batch& batch : in_flight_) {
    try {
      batch.deliver(page(), batch.slot(page()).finished.load(std::memory_order_acquire));
    } catch (const std::exception& failed) {
      if (broken.empty()) broken = failed.what();
    }
    for (; batch.delivered < batch.jobs.size(); ++batch.delivered) {
      lost_one = true;
      fail_lost(*batch.jobs[batch.delivered], BatchesInFlight::running_since(batch, page()),
                {exit_status, broken, killed, BatchesInFlight::is_importing(batch, page())});
    }
  }
  return lost_one;
}

void WorkerSupervisor::fail_lost(Job& job, Clock::time_point begun, const Loss& loss) {
  job.seconds = std::chrono::duration<double>(Clock::now() - begun).count();
  const Error error = lost_run(job, loss, link_->process().trace());
  spans_.lost(job, begun);
  context_->host.host_state.notify_error(error);
  if (const auto& on_event = context_->host.options.callbacks.on_event)
    call_on_event(on_event, event_of(EventKind::Failed, job.module, 0, begun, &error));
  job.fail(error);
}

}  // namespace pyhost::detail
